"""How right an answer is, 0..1, as the values of its score say, and what the right answer looks like in one line."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

WORTH = ("correct", "accuracy", "score")
"""The values of a score that say how right an answer is, in the order in which they are looked for."""


def gold_of(target: Any) -> str | None:
    """The right answer as text; None where the target is a list of questions, or nothing."""
    if target is None or target == "":
        return None
    if isinstance(target, Mapping):
        if "include" in target:
            return ", ".join(filter(None, (_objects(target, "include", ""), _objects(target, "exclude", "not "))))
        return gold_of(target["answers"]) if "answers" in target else json.dumps(target, ensure_ascii=False)
    if isinstance(target, list | tuple):
        if any(isinstance(one, Mapping) for one in target):
            return None
        return " / ".join(name for name, _ in Counter(map(str, target)).most_common()) or None
    return str(target)


def value_of(values: Mapping[str, float], headline: str) -> float | None:
    """The value of one answer that the headline is made of; None where there is none."""
    name = next((name for name in (headline, *WORTH) if name in values), next(iter(values), None))
    return None if name is None else values[name]


def is_right(values: Mapping[str, float], headline: str) -> int | None:
    """1 or 0; None for an answer without values, and where they do not say what is right."""
    name = next((name for name in WORTH if name in values), None)
    return None if name is None else int(values[name] >= 1)


def _objects(target: Mapping[str, Any], key: str, before: str) -> str:
    """GenEval's objects, "2 red bus left of bench"."""
    entries = target.get(key) or ()
    return ", ".join(
        before
        + " ".join(map(str, filter(None, (entry.get("count"), entry.get("color"), entry.get("class")))))
        + (f" {entry['position'][0]} {entries[entry['position'][1]]['class']}" if entry.get("position") else "")
        for entry in entries
    )
