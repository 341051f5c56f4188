"""What a VILA-U checkpoint's settings say of its parts, and SigLIP's sizes, which they only name.

Source: mit-han-lab/vila-u, commit 096623c, and the config.json of google/siglip-large-patch16-256 and
google/siglip-so400m-patch14-384.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.models.families import refuse_other_family
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

WHO = "model vilau"
LLM, PROJECTOR, TOWER = PARTS = ("llm", "mm_projector", "vision_tower")
LARGE = "siglip-large-patch16-256"
SIGLIP: dict[str, dict[str, int]] = {
    LARGE: {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "image_size": 256,
        "patch_size": 16,
    },
    "siglip-so400m-patch14-384": {
        "hidden_size": 1152,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "intermediate_size": 4304,
        "image_size": 384,
        "patch_size": 14,
    },
}
TYPE, PROJECTOR_KIND = "vila_u_llama", "mlp2x_gelu"


@dataclass(frozen=True)
class Sizes:
    """``side`` of a picture that is read and ``drawn`` of one that is drawn, in pixels; ``grid`` (rows, columns) of its
    positions, and ``depth`` codes at each.

    ``siglip``: settings of transformers' SiglipVisionConfig. ``decoder``: taming-transformers' ddconfig, and ``latent``
    the (rows, columns) that features are resized to before it, None where they stay. ``heads`` of the depth
    transformer. ``beside``: the folder beside ``llm`` that SigLIP's sizes came from, "" where they are built in.
    """

    side: int
    drawn: int
    grid: tuple[int, int]
    depth: int
    shared: bool
    heads: int
    siglip: dict[str, Any]
    decoder: dict[str, Any]
    latent: tuple[int, int] | None
    beside: str


def read_sizes(folder: Path) -> Sizes:
    """The settings of a checkpoint's folder. Raises HermesError for what is missing, torn or does not fit together."""
    if (folder / "config.json").is_file():
        root = settings_of(folder / "config.json")
        refuse_other_family(root, f"{WHO}: {folder}")
        if (kind := root.get("model_type")) != TYPE:
            raise HermesError(f"{WHO}: {folder} is a {kind!r} model; give a checkpoint of VILA-U")
    for part in PARTS:
        if not (folder / part / "config.json").is_file():
            raise HermesError(f"{WHO}: {folder} lacks {part}/config.json; download the checkpoint completely")
    kind = settings_of(folder / PROJECTOR / "config.json").get("mm_projector_type")
    if kind != PROJECTOR_KIND:
        raise HermesError(
            f"{WHO}: the projector of {folder} is {kind!r}, and only {PROJECTOR_KIND} is known; give a published one"
        )
    path = folder / TOWER / "config.json"
    settings = settings_of(path)
    try:
        images, drawn = settings["rqvaesiglip"], settings["rqtransformer"]
        rows, columns, depth = map(int, images["code_shape"])
        heads = int(drawn["head"]["block"]["n_head"])
        decoder = dict(images["ddconfig"])
        latent = images.get("decoder_latent_shape")
        siglip, beside = _siglip(folder, str(images.get("pretrained_model") or LARGE))
        side, patch = int(siglip["image_size"]), int(siglip["patch_size"])
        shape = None if latent is None else (int(latent[0]), int(latent[1]))
        levels = [int(each) for each in decoder["ch_mult"]]
        if min(side, patch, rows, columns, depth, heads, *(shape or ()), len(levels), *levels) < 1:
            raise ValueError("sizes must be 1 or more")
        made = (shape or (rows, columns))[0] * 2 ** (len(levels) - 1)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise HermesError(f"{WHO}: {path} is not whole ({error!r}); download the checkpoint again") from None
    if (side // patch) ** 2 != rows * columns:
        raise HermesError(
            f"{WHO}: {path} has {rows} x {columns} positions a picture, its SigLIP {side // patch} x {side // patch}; "
            "download the checkpoint again"
        )
    shared = bool(images.get("shared_codebook", True))
    return Sizes(side, made, (rows, columns), depth, shared, heads, siglip, decoder, shape, beside)


def settings_of(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{WHO}: {path} cannot be read ({error}); download the checkpoint again") from None
    if not isinstance(found, dict):
        raise HermesError(f"{WHO}: {path} does not hold an object; download the checkpoint again")
    return found


def _siglip(folder: Path, name: str) -> tuple[dict[str, Any], str]:
    """SigLIP's vision settings by the name that the tower gives, and the folder that they came from.

    The authors' code downloads them by that name. A folder beside ``llm`` goes before what is built in.
    """
    short = Path(name).name
    if (folder / short / "config.json").is_file():
        found = settings_of(folder / short / "config.json")
        return dict(found.get("vision_config", found)), short
    if short in SIGLIP:
        return dict(SIGLIP[short]), ""
    raise HermesError(
        f"{WHO}: {folder} names the SigLIP {name!r}, whose sizes are not known (known: {', '.join(SIGLIP)}); put its "
        f"config.json into {folder / short}"
    )
