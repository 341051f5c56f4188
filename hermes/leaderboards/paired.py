"""Paired differences between evaluations of the same items, clustered by item."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.agreement import joint_difference
from hermes.harness.records.stats import DIFFERENCE, mean_metric
from hermes.harness.records.types import Metric
from hermes.leaderboards.guidance import Way
from hermes.leaderboards.plays import Evaluation, Items
from hermes.leaderboards.shifts import Benchmark, Shift, shift
from hermes.leaderboards.titles import place

REPLICATES = 2000
NO_GAP = 1e-9
Pairs = Sequence[tuple[Evaluation, Evaluation]]
ItemPairs = Sequence[tuple[Items, Items]]


@dataclass(frozen=True)
class Delta:
    """Mean differences; ``joint`` is that of J, by question, None where a side does not tell its questions.

    ``guided`` is G with each side at the guidance that its round says; ``guidance`` has the scales of the first sides
    and of the second, seed by seed, ``ways`` how self-plays come to them. ``gaps`` are the gaps themselves, of the
    first and of the second, over the items that both have. ``benchmarks`` are those that both sides of a pair have, in
    the order of tables.
    """

    u: Metric
    g: Metric
    gap: Metric
    gaps: tuple[Metric, Metric]
    joint: Metric | None
    guided: Metric | None
    guidance: tuple[tuple[float, ...], tuple[float, ...]] | None
    ways: tuple[Way, ...]
    benchmarks: dict[str, Shift]


def delta(pairs: Pairs) -> Delta:
    """What the second of each pair has more than the first, over the items that both have."""
    gaps = [(first.gap, second.gap) for first, second in pairs]
    both = [(first.guided, second.guided) for first, second in pairs if first.guided and second.guided]
    guided, guidance = None, None
    if both and len(both) == len(pairs):
        guided = difference([(first.items, second.items) for first, second in both])
        guidance = (tuple(first.scale for first, _ in both), tuple(second.scale for _, second in both))
    return Delta(
        u=difference([(first.u, second.u) for first, second in pairs]),
        g=difference([(first.g, second.g) for first, second in pairs]),
        gap=difference(gaps),
        gaps=_gaps(gaps),
        joint=_joint(pairs),
        guided=guided,
        guidance=guidance,
        ways=tuple(dict.fromkeys(one.way for pair in both for one in pair)) if guided else (),
        benchmarks=_benchmarks(pairs),
    )


def difference(pairs: ItemPairs) -> Metric:
    """The mean of second minus first over the items of all pairs; in the interval an item's values are one cluster."""
    items, before, after = _joined(pairs)
    return mean_metric(after - before, items, bounds=DIFFERENCE)


def _gaps(pairs: ItemPairs) -> tuple[Metric, Metric]:
    items, before, after = _joined(pairs)
    return mean_metric(before, items, bounds=DIFFERENCE), mean_metric(after, items, bounds=DIFFERENCE)


def _joint(pairs: Pairs) -> Metric | None:
    before, after = ([pair[side].agreement for pair in pairs] for side in (0, 1))
    return joint_difference(before, after) if pairs and all((*before, *after)) else None


def _benchmarks(pairs: Pairs) -> dict[str, Shift]:
    found: dict[str, list[tuple[Benchmark, Benchmark]]] = defaultdict(list)
    for first, second in pairs:
        for name in first.benchmarks.keys() & second.benchmarks.keys():
            found[name].append((first.benchmarks[name], second.benchmarks[name]))
    return {name: moved for name in sorted(found, key=place) if (moved := shift(found[name]))}


def closed(gaps: ItemPairs) -> Metric:
    """1 - (mean gap after) / (mean gap before), with a percentile interval from resampling items.

    Above 1 where the gap has crossed 0. An item is drawn with all its seeds. NaN where there is no gap to close beyond
    its own interval: one resample of forty has none, or one of the other sign. No interval where fewer have, and where
    all resamples are alike.
    """
    return _closed([gaps], [1.0])


def closed_more(first: ItemPairs, second: ItemPairs) -> Metric:
    """How much more `closed` is of the second, over the items that both have; the same items are drawn for both.

    Pair k of the first and pair k of the second are of one seed.
    """
    both = [
        ([_of(items, one) for one in mine], [_of(items, one) for one in other])
        for mine, other in zip(first, second, strict=True)
        for items in [set.intersection(*(set(one) for one in (*mine, *other)))]
    ]
    return _closed([[(a, b) for (a, b), _ in both], [(a, b) for _, (a, b) in both]], [-1.0, 1.0])


def _closed(parts: Sequence[ItemPairs], weights: Sequence[float]) -> Metric:
    """A weighted sum of the shares that parts over the same items have closed."""
    joined = [_joined(gaps) for gaps in parts]
    items = joined[0][0]
    names, index = np.unique(np.array(items, dtype=str), return_inverse=True)
    groups, n = len(names), len(items)
    bases, less = [], []
    for _, before, after in joined:
        sign = -1.0 if before.sum() < 0 else 1.0
        bases.append(np.bincount(index, weights=sign * before, minlength=groups))
        less.append(np.bincount(index, weights=sign * (before - after), minlength=groups))
    if not groups:
        return Metric(value=float("nan"))
    times = np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), REPLICATES)
    least, low = (min(float(np.quantile(times @ base, share)) for base in bases) for share in (0.0, 0.025))
    if low <= NO_GAP:
        return Metric(value=float("nan"), n=n, groups=groups)
    found = [(weight, *both) for weight, both in zip(weights, zip(bases, less, strict=True), strict=True)]
    value = float(sum(weight * gone.sum() / base.sum() for weight, base, gone in found))
    if groups < 2 or least <= NO_GAP:
        return Metric(value=value, n=n, groups=groups)
    shares = sum((weight * (times @ gone / (times @ base)) for weight, base, gone in found), np.zeros(REPLICATES))
    if np.ptp(shares) <= NO_GAP:
        return Metric(value=value, n=n, groups=groups)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Metric(value=value, low=float(low), high=float(high), n=n, groups=groups)


def _of(items: set[str], values: Items) -> Items:
    return {item: value for item, value in values.items() if item in items}


def _joined(pairs: ItemPairs) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """The items that both sides of a pair have, pair after pair, with their values before and after."""
    rows = [
        (item, before[item], after[item]) for before, after in pairs for item in sorted(before.keys() & after.keys())
    ]
    return [row[0] for row in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
