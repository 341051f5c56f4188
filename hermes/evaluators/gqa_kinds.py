"""GQA's kinds of questions, and how far the answers within a group are spread as the gold ones are."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.system.errors import HermesError

KINDS = ("structural", "semantic", "steps", "words")
LAST_STEPS = ("exist", "query: name", "choose name")


def tags(row: Row, where: str) -> dict[str, str]:
    """The kinds of a question, as far as the row has the columns."""
    types, groups = (_object(row, column, where) for column in ("types", "groups"))
    found = {key: str(types[key]) for key in ("structural", "semantic") if types.get(key)}
    if "structural" in found:
        found["form"] = "open" if found["structural"] == "query" else "binary"
    if isinstance(row.get("semantic"), list):
        steps = [f"{step['operation']}: {step['argument']}" for step in row["semantic"]]
        found["steps"] = str(sum(not any(last in step for last in LAST_STEPS) for step in steps))
    group = groups.get("global")
    if group is not None:
        found["group"] = str(group)
    if words := str(row["question"]).split():
        found["words"] = str(len(words))
    return found


def _object(row: Row, column: str, where: str) -> Mapping[str, Any]:
    cell = row.get(column) or {}
    if not isinstance(cell, Mapping):
        raise HermesError(f"{where}: {column} must be an object, not {str(cell)[:40]!r}; fix the row")
    return cell


class Distribution:
    """The answers given and the gold ones, counted within each group."""

    def __init__(self) -> None:
        self.n = 0
        self._gold: dict[str, Counter[str]] = defaultdict(Counter)
        self._said: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, group: str, gold: str, said: str) -> None:
        self.n += 1
        self._gold[group][gold] += 1
        self._said[group][said] += 1

    def distance(self) -> float:
        """The chi-square of the answers' counts against the golds', by group size, / 100."""
        distances = (
            sum((self._said[group][right] - count) ** 2 / count for right, count in golds.items()) * golds.total()
            for group, golds in self._gold.items()
        )
        return sum(distances) / self.n / 100
