"""How far a benchmark's number has moved between evaluations, answer by answer."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.columns import columns_of
from hermes.harness.records.stats import Means
from hermes.harness.records.types import Metric, Result, Score
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.terms import headline, terms
from hermes.leaderboards.titles import digits
from hermes.leaderboards.worth import WORTH

Key = tuple[str, int]  # A sample's id and the index of an answer to it.
Way = Literal["headline", "pooled"]  # As the headline is made of answers, or as their plain mean.
WAYS: tuple[Way, ...] = ("headline", "pooled")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark in one evaluation: its result, and the file of its scores, which is read where it is needed.

    ``category`` narrows it to the answers that this metric of the result is made of, "" is the headline. ``held`` are
    the scores of these answers, where they are at hand.
    """

    result: Result
    scores: Path
    category: str = ""
    held: Sequence[Score] | None = None

    @property
    def told(self) -> Metric:
        """The number that its result has."""
        if not self.category:
            return headline(self.result)
        return self.result.metrics.get(self.category, Metric(value=math.nan))

    @cached_property
    def answered(self) -> frozenset[Key]:
        """The answers that were scored."""
        return frozenset(_key(score) for score in self._usable())

    def means(self, keys: frozenset[Key], way: Way) -> Means | None:
        """The means of these answers that the number is made of in this way; None where it is not made so."""
        whole = self._whole.get(way)
        if whole is None or keys == self.answered:
            return whole
        return self._made(way, (score for score in self._usable() if _key(score) in keys))

    @cached_property
    def _whole(self) -> dict[Way, Means]:
        """The means of all answers in each of the ways that make the stored number.

        None where another version has scored these answers, by other rules or with other tags. A category may be a mean
        over answers where the headline is one over items, and both where all are right.
        """
        found = {way: self._made(way, self._usable()) for way in (WAYS if self.category else WAYS[:1])}
        told = self.told.value
        return {
            way: means
            for way, means in found.items()
            if means and math.isclose(means.metric().value, told, rel_tol=1e-6, abs_tol=1e-9)
        }

    def _made(self, way: Way, scores: Iterable[Score]) -> Means | None:
        return self._means(scores) if way == "headline" else self._pooled(scores)

    def _means(self, scores: Iterable[Score]) -> Means | None:
        try:
            benchmark: type[Evaluator] = registry.load_class("evaluators", self.result.evaluator, to_use=False)
        except HermesError:  # It is of a plugin that this command was not given.
            return None
        means = benchmark.headline_means(scores, self.result.protocol)
        if means and self.category and means.weights:  # A part of a sum is the sum over that part alone.
            return replace(means, weights=[one / sum(means.weights) for one in means.weights])
        return means

    def _pooled(self, scores: Iterable[Score]) -> Means | None:
        scores = list(scores)
        name = next((name for name in WORTH if scores and name in scores[0].values), None)
        scale = 1.0 if self.result.best <= 1 else 100.0
        return columns_of(scores, (name,)).pooled(name, scale) if name else None

    def _usable(self) -> Iterator[Score]:
        if self.held is not None:
            return iter(self.held)
        return (
            score
            for score in scores_of(self.scores)
            if score.status != "error" and (not self.category or self.category in categories(score, self.result))
        )


def categories(score: Score, result: Result) -> set[str]:
    """The metrics of the result that are about a part of its answers, this one among them, by what its tags say."""
    named = {
        name for tag, value in score.tags.items() for name in (value, f"{value}/{result.headline}", f"{tag}/{value}")
    }
    return named & result.metrics.keys() - {result.headline}


@dataclass(frozen=True)
class Shift:
    """How far a number has moved, in its own unit, and the digits that tables give it."""

    metric: Metric
    digits: int


Pairs = Sequence[tuple[Benchmark, Benchmark]]


def shift(pairs: Pairs) -> Shift | None:
    """What the number of the second of each pair has more than that of the first, one pair a seed.

    The answers that all of them have scored are compared one by one, and each answer's differences are averaged over
    the seeds before they are clustered by group, so that no seed adds items. Where a benchmark does not tell the means
    that its number is made of, it is the difference of the numbers, without an interval. Pairs that were measured
    on different terms are left out; None where no pair is left.
    """
    pairs = [(first, second) for first, second in pairs if terms(first.result) == terms(second.result)]
    metric = (_paired(pairs) or _plain(pairs)) if pairs else None
    return Shift(metric, digits(pairs[0][0].result)) if metric else None


def _paired(pairs: Pairs) -> Metric | None:
    """The difference answer by answer; None where the means are not known, or not of the same groups."""
    common = frozenset.intersection(*(one.answered for pair in pairs for one in pair))
    for way in WAYS:
        found = [(first.means(common, way), second.means(common, way)) for first, second in pairs]
        moved = [_minus(after, before) for before, after in found if before and after and _alike(before, after)]
        if len(moved) == len(pairs) and all(_alike(moved[0], one) for one in moved):
            values = [np.mean([one.parts[k][0] for one in moved], axis=0) for k in range(len(moved[0].parts))]
            groups = [groups for _, groups in moved[0].parts]
            return replace(moved[0], parts=list(zip(values, groups, strict=True))).metric()
    return None


def _plain(pairs: Pairs) -> Metric | None:
    """The mean difference of the numbers over the same data, without an interval."""
    same = [(a, b) for a, b in pairs if a.result.data.fingerprint == b.result.data.fingerprint]
    return Metric(value=fmean(b.told.value - a.told.value for a, b in same)) if same else None


def _key(score: Score) -> Key:
    return score.sample_id, score.index


def _alike(one: Means, other: Means) -> bool:
    """Whether both are made of values of the same groups, weighted alike."""
    return (
        len(one.parts) == len(other.parts)
        and all(np.array_equal(a, b) for (_, a), (_, b) in zip(one.parts, other.parts, strict=True))
        and (one.weights, one.scale, one.bounds) == (other.weights, other.scale, other.bounds)
    )


def _minus(one: Means, other: Means) -> Means:
    """The first without the second, value by value."""
    parts = [(a - b, groups) for (a, groups), (b, _) in zip(one.parts, other.parts, strict=True)]
    most = one.bounds[1] - one.bounds[0]
    return replace(one, parts=parts, bounds=(-most, most))
