"""Where Liquid and its VQGAN lie; loads nothing."""

from pathlib import Path
from typing import Any

from hermes.harness.models.chameleon_vq.places import find_codec
from hermes.harness.models.source import Source, source_of
from hermes.harness.models.trained import around
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

NAME = "liquid"
PUBLISHED = "Junfeng5/Liquid_V1_7B"
VOCABULARY = 264192
CODEC = "chameleon"
# The authors keep the VQGAN in their demonstration, not beside the model.
SPACE, SPACE_FILES = "Junfeng5/Liquid_demo", ("chameleon/vqgan.yaml", "chameleon/vqgan.ckpt")


def find(reference: str) -> Source:
    """The checkpoint that a reference names. Raises HermesError for what cannot be one."""
    return source_of(reference, NAME, PUBLISHED)


def is_liquid(settings: dict[str, Any], folder: Path | None) -> bool:
    """Whether a config.json is Liquid's: Gemma's with Liquid's vocabulary, or with Chameleon's VQGAN near it."""
    if settings.get("model_type") != "gemma":
        return False
    near = folder is not None and find_codec(around(folder), (CODEC,)) is not None
    return near or settings.get("vocab_size") == VOCABULARY


def codec_folder(folder: Path) -> Path:
    """The VQGAN: ``chameleon/`` in the model's folder or beside it, else that of the authors' demonstration."""
    if near := find_codec(around(folder), (CODEC,)):
        return near
    from huggingface_hub import hf_hub_download

    try:
        paths = [Path(hf_hub_download(SPACE, name, repo_type="space")) for name in SPACE_FILES]
    except Exception as error:  # the hub's client raises many kinds
        raise HermesError(
            f"liquid: Chameleon's VQGAN is neither in {folder / CODEC} nor available from the hub "
            f"({hub.missing(error)}); put vqgan.yaml and vqgan.ckpt of the Space {SPACE} there"
        ) from None
    return paths[0].parent
