"""WISE's own files (PKU-YuanGroup/WISE): prompts in three JSON files, and the scores that its scripts write.

The paper's version lies in WISE_legacy since 2026-04; beside its files lie rewritten prompts, and beside the verified
ones merge.json, which holds all of them again.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import file_rows
from hermes.harness.data.rows import Rows

LEGACY = "WISE_legacy"
ID, REPLY = "prompt_id", "evaluation"
SCORES = ("consistency", "realism", "aesthetic_quality", "score")


def wise_rows(source: Path, legacy: bool) -> Rows | None:
    """The rows of a clone, or of a folder with such files, by id; None where there are none."""
    homes = [source / LEGACY / "data", source / LEGACY] if legacy else []
    for home in (*homes, source / "data", source):
        files = [path for path in sorted(home.glob("*.json")) if _holds_prompts(path)]
        if files:
            return Rows(partial(_rows, files))
    return None


def is_wise_answer(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is what the scripts write of one image."""
    return ID in entry and (REPLY in entry or any(name in entry for name in SCORES))


def wise_judgement(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The judge's reply, or the scores that were read from it."""
    if REPLY in entry:
        return {"replies": [entry[REPLY]]}
    return {"scores": {name: entry[name] for name in SCORES if name in entry}}


def _holds_prompts(path: Path) -> bool:
    if path.stem == "merge" or path.stem.endswith("_rewrite"):
        return False
    first = next(file_rows(path), {})
    return ID in first and "Prompt" in first


def _rows(files: list[Path]) -> Iterator[Row]:
    found = [row for path in files for row in file_rows(path)]
    return iter(sorted(found, key=lambda row: row[ID] if isinstance(row.get(ID), int) else 0))
