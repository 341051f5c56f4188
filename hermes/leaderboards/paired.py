"""Paired differences between evaluations of the same items, clustered by item."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.stats import DIFFERENCE, mean_metric
from hermes.harness.records.types import Metric
from hermes.leaderboards.plays import Evaluation, Items, best_guidance
from hermes.leaderboards.shifts import Benchmark, Shift, shift
from hermes.leaderboards.titles import place

REPLICATES = 2000
NO_GAP = 1e-9
Pairs = Sequence[tuple[Evaluation, Evaluation]]
ItemPairs = Sequence[tuple[Items, Items]]


@dataclass(frozen=True)
class Delta:
    """Mean differences; ``guided`` is G with each side at its own best guidance, which ``guidance`` names.

    ``gaps`` are the gaps themselves, of the first and of the second, over the items that both have. ``benchmarks`` are
    those that both sides of a pair have, in the order of tables.
    """

    u: Metric
    g: Metric
    gap: Metric
    gaps: tuple[Metric, Metric]
    guided: Metric | None
    guidance: tuple[float, float] | None
    benchmarks: dict[str, Shift]


def delta(pairs: Pairs) -> Delta:
    """What the second of each pair has more than the first, over the items that both have."""
    before = best_guidance([first for first, _ in pairs])
    after = best_guidance([second for _, second in pairs])
    guided, guidance = None, None
    gaps = [(first.gap, second.gap) for first, second in pairs]
    if before is not None and after is not None:
        guided = difference([(first.guided[before], second.guided[after]) for first, second in pairs])
        guidance = (before, after)
    return Delta(
        u=difference([(first.u, second.u) for first, second in pairs]),
        g=difference([(first.g, second.g) for first, second in pairs]),
        gap=difference(gaps),
        gaps=_gaps(gaps),
        guided=guided,
        guidance=guidance,
        benchmarks=_benchmarks(pairs),
    )


def difference(pairs: ItemPairs) -> Metric:
    """The mean of second minus first over the items of all pairs; in the interval an item's values are one cluster."""
    items, before, after = _joined(pairs)
    return mean_metric(after - before, items, bounds=DIFFERENCE)


def _gaps(pairs: ItemPairs) -> tuple[Metric, Metric]:
    items, before, after = _joined(pairs)
    return mean_metric(before, items, bounds=DIFFERENCE), mean_metric(after, items, bounds=DIFFERENCE)


def _benchmarks(pairs: Pairs) -> dict[str, Shift]:
    found: dict[str, list[tuple[Benchmark, Benchmark]]] = defaultdict(list)
    for first, second in pairs:
        for name in first.benchmarks.keys() & second.benchmarks.keys():
            found[name].append((first.benchmarks[name], second.benchmarks[name]))
    return {name: moved for name in sorted(found, key=place) if (moved := shift(found[name]))}


def closed(gaps: ItemPairs) -> Metric:
    """1 - (mean gap after) / (mean gap before), with a percentile interval from resampling items.

    Above 1 where the gap has crossed 0. An item is drawn with all its seeds. NaN where there is no gap to close; no
    interval where a resample has none or one of the other sign, and where all resamples are alike.
    """
    items, before, after = _joined(gaps)
    names, index = np.unique(np.array(items, dtype=str), return_inverse=True)
    groups, n = len(names), len(items)
    sign = -1.0 if before.sum() < 0 else 1.0
    base = np.bincount(index, weights=sign * before, minlength=groups)
    less = np.bincount(index, weights=sign * (before - after), minlength=groups)
    if base.sum() <= NO_GAP:
        return Metric(value=float("nan"), n=n, groups=groups)
    value = float(less.sum() / base.sum())
    times = np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), REPLICATES)
    drawn = times @ base
    if groups < 2 or drawn.min() <= NO_GAP:
        return Metric(value=value, n=n, groups=groups)
    shares = times @ less / drawn
    if np.ptp(shares) <= NO_GAP:
        return Metric(value=value, n=n, groups=groups)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Metric(value=value, low=float(low), high=float(high), n=n, groups=groups)


def _joined(pairs: ItemPairs) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """The items that both sides of a pair have, pair after pair, with their values before and after."""
    rows = [
        (item, before[item], after[item]) for before, after in pairs for item in sorted(before.keys() & after.keys())
    ]
    return [row[0] for row in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
