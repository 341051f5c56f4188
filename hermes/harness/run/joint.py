"""Joins what both sides have scored, question by question: the table of the 2 x 2.

A question is known by its item and by its text (`question_key`), so that two files that hold an item's questions in
another order, or not the same ones, are joined rightly. Of several answers to it and several pictures of the item each
pair is one verdict. A question whose answer or picture failed, or that one side alone has, is left out and counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from hermes.harness.records.agreement import ASKED, RIGHT, Cells, Slot, Table, agreement
from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric, Score

Verdicts = dict[str, dict[Slot, list[bool]]]


class Joined:
    """Collects the verdicts of both sides as their scores pass by."""

    def __init__(self) -> None:
        self._u: Verdicts = defaultdict(lambda: defaultdict(list))
        self._g: Verdicts = defaultdict(lambda: defaultdict(list))
        self._asked: dict[str, set[str]] = defaultdict(set)
        self._alike: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)

    def understanding(self, scores: Iterable[Score]) -> Iterator[Score]:
        """The scores of answers about real pictures, one a question, as they are."""
        for score in scores:
            item, key = score.group_id, score.tags.get(ASKED)
            self._asked[item].add(score.sample_id)
            if key:
                alike = self._alike[item, key]
                place = alike.setdefault(score.sample_id, len(alike))
                self._u[item][key, place].append(bool(score.values["correct"]))
            yield score

    def generation(self, scores: Iterable[Score]) -> Iterator[Score]:
        """The scores of drawn pictures, each with the verdicts on its questions, as they are."""
        for score in scores:
            seen: Counter[str] = Counter()
            for key, right in zip(score.tags.get(ASKED, "").split(), score.tags.get(RIGHT, ""), strict=True):
                self._g[score.group_id][key, seen[key]].append(right == "1")
                seen[key] += 1
            yield score

    def table(self) -> Table:
        """The cells of every question that both sides have a verdict on."""
        return {
            (item, slot): _cells(self._u[item][slot], self._g[item][slot])
            for item in sorted(self._u.keys() & self._g.keys())
            for slot in sorted(self._u[item].keys() & self._g[item].keys())
        }

    def unified(self) -> Metric:
        """The mean over items of the share of questions that are right on both sides."""
        shares: dict[str, list[float]] = defaultdict(list)
        for (item, _), cells in self.table().items():
            shares[item].append(cells[0] / sum(cells))
        return mean_metric([sum(found) / len(found) for found in shares.values()], list(shares))

    def found(self) -> dict[str, Any]:
        """`agreement` of the table, and how many questions are "left_out"; {} where no question has both sides.

        Scores that were written before a question's verdict was kept have none.
        """
        table = self.table()
        if not table:
            return {}
        known = {
            item: max(len(self._asked[item]), len(self._u[item].keys() | self._g[item].keys()))
            for item in {*self._asked, *self._g}
        }
        return {**agreement(table), "left_out": sum(known.values()) - len(table)}


def _cells(first: list[bool], second: list[bool]) -> Cells:
    u, g = sum(first), sum(second)
    not_u, not_g = len(first) - u, len(second) - g
    return u * g, u * not_g, not_u * g, not_u * not_g
