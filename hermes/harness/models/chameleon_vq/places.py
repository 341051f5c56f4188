"""Where Chameleon's VQGAN lies; reads settings and no weights."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from hermes.harness.system.parsing import json_file

YAML, CHECKPOINT = "vqgan.yaml", "vqgan.ckpt"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "chameleon_vqgan"


def find_codec(places: Iterable[Path], names: Collection[str]) -> Path | None:
    """The first folder of a VQGAN that bears one of the names in one of the places."""
    near = (place / name for place in places for name in names)
    return next((folder for folder in near if is_codec(folder)), None)


def is_codec(folder: Path) -> bool:
    """Whether a folder is that of a VQGAN, by its settings."""
    if (folder / YAML).is_file():
        return True
    try:
        settings: Any = json_file(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("model_type") == KIND
