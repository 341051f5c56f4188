"""How far a benchmark's headline has moved between evaluations, answer by answer."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.records.stats import Means
from hermes.harness.records.types import Metric, Result, Score
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.benchmarks import terms
from hermes.leaderboards.joined import headline
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.titles import digits

Key = tuple[str, int]  # A sample's id and the index of an answer to it.


@dataclass(frozen=True)
class Benchmark:
    """One benchmark in one evaluation: its result, and the file of its scores, which is read where it is needed."""

    result: Result
    scores: Path

    @cached_property
    def answered(self) -> frozenset[Key]:
        """The answers that were scored."""
        return frozenset(_key(score) for score in self._usable())

    def means(self, keys: frozenset[Key]) -> Means | None:
        """The means of these answers that the headline is made of; None where the benchmark does not tell."""
        if keys == self.answered or self._all is None:
            return self._all
        return self._means(score for score in self._usable() if _key(score) in keys)

    @cached_property
    def _all(self) -> Means | None:
        """The means of all answers; None, too, where the stored headline is not what they make.

        Another version may have scored these answers, by other rules or with other tags.
        """
        means = self._means(self._usable())
        told = headline(self.result).value
        return means if means and math.isclose(means.metric().value, told, rel_tol=1e-6, abs_tol=1e-9) else None

    def _means(self, scores: Iterable[Score]) -> Means | None:
        try:
            benchmark: type[Evaluator] = registry.load_class("evaluators", self.result.evaluator, to_use=False)
        except HermesError:  # It is of a plugin that this command was not given.
            return None
        return benchmark.headline_means(scores, self.result.protocol)

    def _usable(self) -> Iterator[Score]:
        return (score for score in scores_of(self.scores) if score.status != "error")


@dataclass(frozen=True)
class Shift:
    """How far a headline has moved, in its own unit, and the digits that tables give it."""

    metric: Metric
    digits: int


Pairs = Sequence[tuple[Benchmark, Benchmark]]


def shift(pairs: Pairs) -> Shift | None:
    """What the headline of the second of each pair has more than that of the first, one pair a seed.

    The answers that all of them have scored are compared one by one, and each answer's differences are averaged over
    the seeds before they are clustered by group, so that no seed adds items. Where a benchmark does not tell the means
    that its headline is made of, it is the difference of the headlines, without an interval. Pairs that were measured
    on different terms are left out; None where no pair is left.
    """
    pairs = [(first, second) for first, second in pairs if terms(first.result) == terms(second.result)]
    metric = (_paired(pairs) or _plain(pairs)) if pairs else None
    return Shift(metric, digits(pairs[0][0].result)) if metric else None


def _paired(pairs: Pairs) -> Metric | None:
    """The difference answer by answer; None where the means are not known, or not of the same groups."""
    common = frozenset.intersection(*(one.answered for pair in pairs for one in pair))
    found = [(first.means(common), second.means(common)) for first, second in pairs]
    moved = [_minus(after, before) for before, after in found if before and after and _alike(before, after)]
    if len(moved) < len(pairs) or not all(_alike(moved[0], one) for one in moved):
        return None
    values = [np.mean([one.parts[k][0] for one in moved], axis=0) for k in range(len(moved[0].parts))]
    groups = [groups for _, groups in moved[0].parts]
    return replace(moved[0], parts=list(zip(values, groups, strict=True))).metric()


def _plain(pairs: Pairs) -> Metric | None:
    """The mean difference of the headlines over the same data, without an interval."""
    results = [(first.result, second.result) for first, second in pairs]
    same = [(a, b) for a, b in results if a.data.fingerprint == b.data.fingerprint]
    return Metric(value=fmean(headline(b).value - headline(a).value for a, b in same)) if same else None


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
