"""Which checkpoints a reference names: one that does both, or one to understand and one to generate; loads nothing."""

import json
from pathlib import Path
from typing import Any

from hermes.harness.models.source import Source, source_of
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

NAME = "emu3"
CHAT, GEN = "BAAI/Emu3-Chat-hf", "BAAI/Emu3-Gen-hf"
KEY, PARTS = "hermes_parts", ["chat", "gen"]


def find(reference: str) -> tuple[str, list[Source]]:
    """The model's name, and one source or two, of which the first understands and the second generates.

    ``emu3`` alone means both published checkpoints, CHAT+GEN any two, and a folder written by ``write_pair`` its own.
    Raises HermesError for what cannot be one.
    """
    where = f"{CHAT}+{GEN}" if reference == NAME else reference.removeprefix(f"{NAME}:")
    folder = Path(where).expanduser()
    if where and folder.is_dir():
        if _is_pair(folder):
            return folder.resolve().name, [_part(folder, part) for part in PARTS]
    elif "+" in where:
        pair = [source_of(f"{NAME}:{one}", NAME) for one in where.split("+", 1)]
        return "+".join(Path(one.title).name for one in pair), pair
    source = source_of(f"{NAME}:{where}", NAME)
    return source.title, [source]


def write_pair(folder: Path) -> None:
    """The config.json by which ``find`` knows a folder that holds both parts."""
    (folder / "config.json").write_text(json.dumps({"model_type": NAME, KEY: PARTS}, indent=2) + "\n")


def _is_pair(folder: Path) -> bool:
    try:
        settings: Any = json_file(folder / "config.json")
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get(KEY) == PARTS


def _part(folder: Path, part: str) -> Source:
    if not (folder / part / "config.json").is_file():
        raise HermesError(f"model {NAME}: {folder} lacks its part {part}/config.json; write the model again")
    return Source(str(folder / part), None, local=True)
