"""Scores as columns: what metrics need of many scores, in a few dozen bytes a score, and the means over them."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hermes.harness.contracts.benchmark import Scored
from hermes.harness.records.stats import UNIT, Bounds, Means, mean_metric
from hermes.harness.records.types import Metric, Score

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class GroupSums(NamedTuple):
    """The groups in the order of their first scores: their codes, how many scores each has, and a value's sum in each.

    Sums are rounded after each addition, as a plain loop does it.
    """

    codes: Codes
    counts: NDArray[np.intp]
    sums: Floats


@dataclass(frozen=True)
class Columns:
    """n scores as arrays of shape (n,): their groups, each value (NaN where a score lacks it), and each tag.

    Groups and tags are numbered in the order of their names; ``names`` lists those of each tag, and -1 is no tag.
    """

    groups: Codes
    values: dict[str, Floats]
    tags: dict[str, Codes]
    names: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, places: NDArray[np.intp]) -> "Columns":
        """The scores at these places."""
        values = {name: column[places] for name, column in self.values.items()}
        tags = {name: column[places] for name, column in self.tags.items()}
        return Columns(self.groups[places], values, tags, self.names)

    def by_tag(self, tag: str) -> Iterator[tuple[str, "Columns"]]:
        """The scores of each value of the tag, the values sorted; scores without the tag are left out."""
        for code, name in enumerate(self.names[tag]):
            places = np.flatnonzero(self.tags[tag] == code)
            if len(places):
                yield name, self.take(places)

    def by_group(self, value: str) -> GroupSums:
        """What the groups hold of a value."""
        codes, first, place = np.unique(self.groups, return_index=True, return_inverse=True)
        order = np.argsort(first)
        sums = np.bincount(place, self.values[value], minlength=len(codes)).astype(np.float64)
        return GroupSums(codes[order], np.bincount(place, minlength=len(codes))[order], sums[order])

    def mean(self, value: str, scale: float = 1.0, bounds: Bounds | None = UNIT) -> Metric:
        """The mean of a value; its 95 % interval is clustered by group and stays within the bounds of the values."""
        return mean_metric(self.values[value], self.groups, scale, bounds)

    def means(self, value: str, tag: str, scale: float = 1.0, prefix: str = "") -> dict[str, Metric]:
        """The mean of a value for each value of a tag, named by it after the prefix; sorted."""
        return {prefix + name: part.mean(value, scale) for name, part in self.by_tag(tag)}

    def pooled(self, value: str, scale: float = 1.0) -> Means:
        """The mean of a value, as `mean` gives it."""
        return Means([(self.values[value], self.groups)], scale=scale)

    def grouped(self, value: str, scale: float = 1.0) -> Means:
        """The mean over groups of each group's mean."""
        codes, counts, sums = self.by_group(value)
        return Means([(sums / counts, codes)], scale=scale)


class Collector:
    """Columns as they grow, one line after the other, whose values and tags have these names."""

    def __init__(self, values: Sequence[str], tags: Sequence[str] = ()) -> None:
        self._groups = _Names()
        self._values = {name: array("d") for name in values}
        self._tags = {name: _Names() for name in tags}

    def add(self, group: str, values: Mapping[str, float], tags: Mapping[str, str] | None = None) -> None:
        """One line; names that the columns do not have are left out."""
        self._groups.add(group)
        for name, column in self._values.items():
            column.append(values.get(name, np.nan))
        for name, found in self._tags.items():
            found.add((tags or {}).get(name))

    def columns(self) -> Columns:
        """All lines so far."""
        tags = {name: found.sorted() for name, found in self._tags.items()}
        return Columns(
            self._groups.sorted()[0],
            {name: np.array(column) for name, column in self._values.items()},
            {name: codes for name, (codes, _) in tags.items()},
            {name: names for name, (_, names) in tags.items()},
        )


class _Names:
    """Texts of which many are alike, each kept once; None for a missing one."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._known: dict[str | None, int] = {None: -1}

    def add(self, name: str | None) -> None:
        self._codes.append(self._known.setdefault(name, len(self._known) - 1))

    def sorted(self) -> tuple[Codes, list[str]]:
        """The numbers of all texts in the order of the different ones, and these; -1 for a missing one."""
        names = sorted(name for name in self._known if name is not None)
        ranks = np.full(len(names) + 1, -1, dtype=np.int32)
        ranks[[self._known[name] for name in names]] = np.arange(len(names))
        return ranks[np.array(self._codes)], names


def collect(scored: Iterable[Scored], values: Sequence[str], tags: Sequence[str] = ()) -> Columns:
    """The named values and tags of all scores, in their order."""
    return columns_of((score for _, score in scored), values, tags)


def columns_of(scores: Iterable[Score], values: Sequence[str], tags: Sequence[str] = ()) -> Columns:
    """As `collect`, of scores without their samples."""
    collector = Collector(values, tags)
    for score in scores:
        collector.add(score.group_id, score.values, score.tags)
    return collector.columns()
