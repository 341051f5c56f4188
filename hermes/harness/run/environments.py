"""Reads what a run has run on, start by start: environment.jsonl, or the one environment.json of older runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PACKAGES = {"hermes-bench": "Hermes", "torch": "torch", "transformers": "transformers", "diffusers": "diffusers"}
FACTS = ("adapter", "device")


def environments(folder: Path) -> list[dict[str, Any]]:
    """One entry for each start of the run, the first one first; one that finished has ``end`` and what its end adds.

    Environments stand outside the run id, so a missing file, a torn line and an odd value are no error.
    """
    starts: list[dict[str, Any]] = []
    path = folder / "environment.jsonl"
    if not path.exists():
        return _objects(_text(folder / "environment.json"))
    for line in _text(path).splitlines():
        for entry in _objects(line):
            if entry.get("end") and starts and not starts[-1].get("end"):
                starts[-1] |= entry
            else:
                starts.append(entry)
    return starts


def changed(starts: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each version, and for the device, that differs between starts that asked for answers."""
    asking = [start for start in starts if start.get("asked") != 0]
    seen = {said: [_package(start, name) for start in asking] for name, said in PACKAGES.items()}
    seen |= {name: [_said(start.get(name)) for start in asking] for name in FACTS}
    lines = []
    for name, values in seen.items():
        turns = [value for place, value in enumerate(values) if place == 0 or value != values[place - 1]]
        if len(turns) > 1:
            which = "both" if len(set(turns)) == 2 else "all"
            lines.append(f"{name} changed from {' to '.join(turns)} between starts; answers of {which} are in this run")
    return lines


def _package(start: dict[str, Any], name: str) -> str:
    packages = start.get("packages")
    return _said(packages.get(name)) if isinstance(packages, dict) else _said(None)


def _said(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _objects(text: str) -> list[dict[str, Any]]:
    """The object that the text is, or nothing."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [content] if isinstance(content, dict) else []
