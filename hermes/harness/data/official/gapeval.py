"""GapEval's verdicts, which are rows and answers in one file, and the shares that its own program reads.

- a line an item: ``{"id", "category", "understanding", "generation"}``, what was found of the model's text and of its
  picture; without an id the line's number is it.
- a line a category: ``{"category", "shares": [p11, p10, p01, p00]}``.
- evaluate.py's input (Lucky-Wang-Chenlong/GapEval): ``{model: [[p11, p10, p01, p00], ...]}``, a row a category, here of
  one model.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hermes.harness.data.given import Given
from hermes.harness.data.json_stream import json_values
from hermes.harness.system.errors import HermesError

SIDES = ("understanding", "generation")
CATEGORY, SHARES = "category", "shares"
LINE = '{"id", "category", "understanding", "generation"} or {"category", "shares": [p11, p10, p01, p00]}'


def holds_verdicts(path: Path) -> bool:
    """Whether a file begins as one of these does."""
    if not path.is_file() or path.suffix not in (".json", ".jsonl"):
        return False
    try:
        first = next(json_values(path), None)
    except HermesError:
        return False
    return isinstance(first, dict) and (_is_item(first) or _is_category(first) or _are_models(first))


def verdict_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The id and the category of each item, or of each category."""
    return ({"id": name, CATEGORY: category} for name, category, _, _ in _entries(path))


def verdict_answers(path: Path) -> Iterator[Given]:
    """What was found of each item, or the shares of each category, as judgements."""
    for name, _, where, judgement in _entries(path):
        yield Given(name, 0, where, judgement=judgement)


def _entries(path: Path) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Id, category, place and judgement of each. Raises HermesError for a line of another form than the first."""
    are_items: bool | None = None
    for number, entry in enumerate(json_values(path), 1):
        where = f"{path} entry {number}"
        if isinstance(entry, dict) and number == 1 and _are_models(entry):
            yield from _of_model(path, entry)
            return
        if not isinstance(entry, dict) or not (_is_item(entry) or _is_category(entry)):
            raise HermesError(f"{where}: expected {LINE}")
        item, category = _is_item(entry), entry[CATEGORY]
        if not isinstance(category, str) or not category:
            raise HermesError(f"{where}: category must be a text; fix it")
        if are_items not in (None, item):
            raise HermesError(f"{where}: items and shares of categories are scored apart; give a file of each")
        are_items = item
        name = entry.get("id", number) if item else category
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise HermesError(f"{where}: id must be text or a whole number; fix it")
        yield str(name), category, where, {key: entry[key] for key in (SIDES if item else (SHARES,))}


def _of_model(path: Path, models: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    if len(models) > 1:
        raise HermesError(f"{path} holds {len(models)} models ({', '.join(models)}); give a file of each")
    for model, rows in models.items():
        for number, row in enumerate(rows, 1):
            yield str(number), str(number), f"{path}: {model} row {number}", {SHARES: row}


def _is_item(entry: Mapping[str, Any]) -> bool:
    return entry.keys() >= {CATEGORY, *SIDES}


def _is_category(entry: Mapping[str, Any]) -> bool:
    return entry.keys() >= {CATEGORY, SHARES}


def _are_models(entry: Mapping[str, Any]) -> bool:
    rows = list(entry.values())
    return bool(rows) and all(isinstance(found, list) and found and isinstance(found[0], list) for found in rows)
