"""What a BAGEL checkpoint's JSON files say; what they leave out is set in its authors' code, or told by the tensors.

Source: ByteDance-Seed/Bagel commit 056b5fd, inference.ipynb, eval/vlm/utils.py and modeling/.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

LLM, VIT, OWN = "llm_config.json", "vit_config.json", "config.json"
READ = ("latent_patch_size", "train_timestep_shift", "vae", "vit_transform", "vae_transform")
SIZES = ("max_image_size", "min_image_size", "image_stride", "max_pixels")
# Numbers that may be left out or null; those of objects in config.json stand behind the object's name.
OPTIONAL = {
    LLM: ("num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps"),
    VIT: ("layer_norm_eps",),
    OWN: ("latent_patch_size", "max_latent_size", "vit_max_num_patch_per_side", "train_timestep_shift"),
}
INNER = {"vae": ("scale_factor", "shift_factor"), "vit_transform": SIZES, "vae_transform": SIZES}
PIXELS = 14 * 14 * 9 * 1024


@dataclass(frozen=True)
class Rule:
    """How large a picture is made: sides in pixels, multiples of ``stride``, and at most ``pixels`` in all."""

    longest: int
    shortest: int
    stride: int
    pixels: int = PIXELS


@dataclass(frozen=True, repr=False)
class Settings:
    """``llm`` and ``vit`` are the published files, ``own`` is config.json, which the authors' code does not read.

    From ``own`` are taken, under the names of the authors' code, what that code sets: vae (scale_factor, shift_factor),
    vit_transform, vae_transform, latent_patch_size and train_timestep_shift; and max_latent_size and
    vit_max_num_patch_per_side where the weights lack the tables of places.
    """

    llm: dict[str, Any]
    vit: dict[str, Any]
    own: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """All that changes what the model answers."""
        return repr((sorted(self.llm.items()), sorted(self.vit.items()), [self.own.get(name) for name in READ]))

    @property
    def width(self) -> int:
        return int(self.llm["hidden_size"])

    @property
    def heads(self) -> int:
        return int(self.llm["num_attention_heads"])

    @property
    def kv_heads(self) -> int:
        return int(self.llm.get("num_key_value_heads") or self.heads)

    @property
    def head(self) -> int:
        """Numbers of one attention head."""
        return int(self.llm.get("head_dim") or self.width // self.heads)

    @property
    def theta(self) -> float:
        """The base of the rotary angles."""
        told = self.llm.get("rope_parameters") or {}
        return float(self.llm.get("rope_theta") or told.get("rope_theta") or 1e6)

    @property
    def eps(self) -> float:
        return float(self.llm.get("rms_norm_eps") or 1e-6)

    @property
    def act(self) -> str:
        return str(self.llm.get("hidden_act") or "silu")

    @property
    def vit_layers(self) -> int:
        """Layers that are run: all but the last."""
        return int(self.vit["num_hidden_layers"]) - 1

    @property
    def patch(self) -> int:
        """Pixels of a side of the vision encoder's patches."""
        return int(self.vit["patch_size"])

    @property
    def latent_patch(self) -> int:
        """Latents of a side of a drawn token."""
        return int(self.own.get("latent_patch_size") or 2)

    @property
    def latent_scale(self) -> tuple[float, float]:
        """What the autoencoder's latents are multiplied by, after a number is taken off: (scale, shift)."""
        told = self.own.get("vae") or {}
        scale, shift = (told.get(name) for name in INNER["vae"])
        return float(scale or 0.3611), 0.1159 if shift is None else float(shift)

    @property
    def sides(self) -> tuple[int, int]:
        """How many tokens of a side seen and drawn pictures have at most, where no table in the weights tells."""
        told = self.own.get("vit_max_num_patch_per_side"), self.own.get("max_latent_size")
        return int(told[0] or 70), int(told[1] or 64)

    @property
    def train_shift(self) -> float:
        """The shift of the times that the model is trained at."""
        return float(self.own.get("train_timestep_shift") or 1.0)

    def seen_rule(self, as_released: bool) -> Rule:
        """How large a seen picture is: in the authors' benchmarks, or, as released, in their notebook and demo."""
        shortest, pixels = (224, PIXELS) if as_released else (378, 2007040)
        return _rule(self.own.get("vit_transform"), Rule(980, shortest, self.patch, pixels))

    def drawn_rule(self, stride: int) -> Rule:
        """How large a picture is that is changed or learned; ``stride`` pixels are one token."""
        return _rule(self.own.get("vae_transform"), Rule(1024, 512, stride))


def read_settings(llm: Path, vit: Path, own: Path | None) -> Settings:
    """Raises HermesError where a file is no JSON object or lacks what the network is built of."""
    settings = Settings(_object(llm), _object(vit), _object(own) if own else {})
    shared = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
    wanted = {llm: shared, vit: (*shared, "patch_size")}
    held = {llm: settings.llm, vit: settings.vit}
    for path, names in wanted.items():
        for name in names:
            value = held[path].get(name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise HermesError(f"{path}: {name} is {value!r}, not a whole number above 0; download the file again")
    _check_optional((llm, settings.llm, LLM), (vit, settings.vit, VIT), (own or llm, settings.own, OWN))
    for path, whole, parts in (
        (llm, settings.width, settings.heads),
        (llm, settings.heads, settings.kv_heads),
        (vit, settings.vit["hidden_size"], settings.vit["num_attention_heads"]),
    ):
        if whole % parts:
            raise HermesError(f"{path}: {parts} heads do not divide {whole}; download the file again")
    return settings


def _check_optional(*files: tuple[Path, dict[str, Any], str]) -> None:
    """Raises HermesError where what may be left out is there, and not what it should be."""
    from transformers.activations import ACT2FN

    for path, told, file in files:
        held = [(name, told.get(name)) for name in OPTIONAL[file]]
        for outer, names in INNER.items() if file == OWN else ():
            inner = told.get(outer) or {}
            if not isinstance(inner, dict):
                raise HermesError(f"{path}: {outer} is {inner!r}, not an object; download the file again")
            held += [(f"{outer}.{name}", inner.get(name)) for name in names]
        for name, value in held:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (fits and (value > 0 or name == "vae.shift_factor")):
                raise HermesError(f"{path}: {name} is {value!r}, not a number above 0; download the file again")
        act = told.get("hidden_act")
        if act is not None and act not in ACT2FN:
            raise HermesError(f"{path}: hidden_act is {act!r}, which transformers does not have; download it again")


def _rule(told: dict[str, Any] | None, default: Rule) -> Rule:
    told = told or {}
    return Rule(
        int(told.get("max_image_size") or default.longest),
        int(told.get("min_image_size") or default.shortest),
        int(told.get("image_stride") or default.stride),
        int(told.get("max_pixels") or default.pixels),
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{path} is not valid JSON ({error}); download the file again") from None
    if not isinstance(found, dict):
        raise HermesError(f"{path} does not hold an object; download the file again")
    return found
