"""Means with intervals that respect clusters and bounds: items that share a group are never taken as independent.

All intervals are Wilson's score interval (1927) for p = the value on a scale of 0..1, z = 1.96 and n answers:

    (p + z^2 / 2n  +-  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

so they stay within the bounds, and the nearer one is to p, the shorter that side. What n is, the clusters say:

- pull_j, how far cluster j moves p away from where the others have it; V = sum pull_j^2 is the variance of p (the
  sandwich estimator), and p (1 - p) / V as many independent answers as have this variance (Kish's effective sample).
- K = (sum share_j)^2 / sum share_j^2, how many clusters there are, counted by their size.
- c = (k - 2)^2 / (k (k - 1)) V^3 / (sum pull_j^3)^2, held within 1..k: how many of the k clusters carry V. The skewness
  of pulls tells; where c answers of many differ from the rest, it is c.
- n = N (p (1 - p) / V / N)^(1 - 1 / c), where N = K: what V says weighs as much as there are clusters to say it,
  otherwise every cluster counts as one answer. Clusters of one answer, right or wrong, have n = k: the textbook's
  interval.
- Most differences are 0, so for values on both sides of 0 that would be far too wide. There N = K p (1 - p) / M, where
  M <= p (1 - p) is the most variance there can be if no larger share of clusters moves than Wilson's upper bound for
  the share of those that are not 0.

Where no cluster differs from another there is no V. Then the share of all others that may differ is
w = z^2 / (K + z^2), Wilson's bound for none in K, and the interval goes that share of the way to either bound.
`tests/harness/records/test_coverage.py` counts how often such intervals hold the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.types import Metric

Z95 = 1.959963984540054
ALIKE = 1e-20  # A variance on the scale of 0..1 that is rounding alone.
Floats = NDArray[np.float64]
# The group of each item, by name or by number; numbers are to follow the order of the names.
Groups = Sequence[str] | NDArray[np.integer[Any]]
Bounds = tuple[float, float]
UNIT: Bounds = (0.0, 1.0)
DIFFERENCE: Bounds = (-1.0, 1.0)


def mean_metric(
    values: Sequence[float] | Floats, groups: Groups, scale: float = 1.0, bounds: Bounds | None = UNIT
) -> Metric:
    """The mean with its 95 % interval, clustered by group.

    ``bounds`` hold every value; where some lie outside, or with None, none are known and the interval is Student's.
    ``scale`` multiplies value and interval (100 for percent). One cluster gives no interval; no value gives NaN.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Metric(value=float("nan"))
    mean = float(x.mean())
    pulls, shares, sizes = _clusters(x, mean, groups)
    if bounds and not bounds[0] <= x.min() <= x.max() <= bounds[1]:
        bounds = None
    found = _between(mean, pulls, shares, bounds, _moved(sizes, shares)) if bounds else _student(mean, pulls)
    return _metric(scale * mean, found, scale, x.size, len(pulls))


@dataclass(frozen=True)
class Means:
    """A number as means make it: a weighted sum of the means of parts, or without weights the mean of the means.

    ``scale`` multiplies it; ``bounds`` hold every value.
    """

    parts: Sequence[tuple[Floats, Groups]]
    weights: Sequence[float] | None = None
    scale: float = 1.0
    bounds: Bounds = UNIT

    def metric(self) -> Metric:
        """The number with its 95 % interval."""
        return sum_of_means(self.parts, self.weights, self.scale, self.bounds)


def sum_of_means(
    parts: Sequence[tuple[Floats, Groups]],
    weights: Sequence[float] | None = None,
    scale: float = 1.0,
    bounds: Bounds = UNIT,
) -> Metric:
    """A weighted sum of the means of parts; without weights the mean of the means.

    The parts' clusters make one interval together; a cluster that stands in several parts is one. No interval where a
    part has only one.
    """
    if len(parts) == 1 and weights is None:
        return mean_metric(*parts[0], scale, bounds)
    means = [mean_metric(values, groups, scale, bounds) for values, groups in parts]
    whole = sum_metric(means, weights)
    if not parts:
        return whole
    place, k = _numbered(np.concatenate([np.unique(groups) for _, groups in parts]))
    if any(mean.groups < 2 for mean in means):
        return whole.model_copy(update={"low": None, "high": None, "groups": k})
    w = np.asarray([1 / len(parts)] * len(parts) if weights is None else weights, dtype=np.float64)
    clusters = [_clusters(values, float(values.mean()), groups) for values, groups in parts]
    pulls, shares, sizes = (
        np.bincount(place, np.repeat(w / w.sum(), [len(one) for one in side]) * np.concatenate(side), k).astype(float)
        for side in zip(*clusters, strict=True)
    )
    total = scale * float(w.sum())
    found = _between(whole.value / total, pulls, shares, bounds, _moved(sizes, shares))
    return _metric(whole.value, found, total, whole.n, k)


def jackknife_metrics(
    values: Sequence[float],
    without: Floats,
    shares: Floats,
    n: int,
    scale: float = 1.0,
    bounds: Sequence[Bounds] | None = None,
) -> list[Metric]:
    """Statistics of the same items with their 95 % intervals.

    ``without`` (clusters, statistics) is each statistic with one cluster left out, ``shares`` how much of it, of the
    same shape, is that cluster's. Bounds are 0..1 where they are not given. No interval for a statistic that is
    undefined without one of the clusters.
    """
    k = len(without)
    found = []
    for place, value in enumerate(values):
        pulls = (k - 1) / k * (without[:, place].mean() - without[:, place])
        limits = _between(value, pulls, shares[:, place], bounds[place] if bounds else UNIT)
        found.append(_metric(scale * value, limits, scale, n, k))
    return found


def sum_metric(parts: Sequence[Metric], weights: Sequence[float] | None = None) -> Metric:
    """A weighted sum of independent metrics; without weights the plain mean of the parts.

    The squares of the distances from value to bound add, on each side (Zou and Donner 2008), so that the interval
    stays within the sum of the parts' own.
    """
    if not parts:
        return Metric(value=float("nan"))
    w = [1 / len(parts)] * len(parts) if weights is None else list(weights)
    value = sum(a * part.value for a, part in zip(w, parts, strict=True))
    n, groups = sum(part.n for part in parts), sum(part.groups for part in parts)
    below, above = 0.0, 0.0
    for a, part in zip(w, parts, strict=True):
        if part.low is None or part.high is None:
            return Metric(value=value, n=n, groups=groups)
        sides = (a * (part.value - part.low)) ** 2, (a * (part.high - part.value)) ** 2
        down, up = sides if a > 0 else sides[::-1]
        below, above = below + down, above + up
    return Metric(value=value, low=value - below**0.5, high=value + above**0.5, n=n, groups=groups)


def _clusters(x: Floats, mean: float, groups: Groups) -> tuple[Floats, Floats, Floats]:
    """How far each cluster pulls the mean, its share of the values, and its share of the mean of |x|."""
    if isinstance(groups, np.ndarray):
        different, index = np.unique(groups, return_inverse=True)
        k = len(different)
    else:
        numbers = {name: number for number, name in enumerate(sorted(set(groups)))}
        index, k = np.fromiter((numbers[name] for name in groups), dtype=np.intp, count=len(groups)), len(numbers)
    pulls, sizes = (np.bincount(index, weights=each, minlength=k) / x.size for each in (x - mean, np.abs(x)))
    return pulls, np.bincount(index, minlength=k) / x.size, sizes


def _moved(sizes: Floats, shares: Floats) -> float:
    """The share of clusters that have a value other than 0."""
    return float(shares[sizes > 0].sum() / shares.sum())


def _numbered(names: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """The number of each name, in the order in which they first come, and how many there are."""
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[place], len(first)


def _between(value: float, pulls: Floats, shares: Floats, bounds: Bounds, moved: float = 1.0) -> Bounds | None:
    """The interval of a value between bounds, as the head of this file has it.

    ``moved`` is the share of clusters that are not 0.
    """
    k = np.count_nonzero(shares)
    if k < 2 or not np.isfinite(value) or not np.isfinite(pulls).all():
        return None
    lowest, width = bounds[0], bounds[1] - bounds[0]
    p = min(1.0, max(0.0, (value - lowest) / width))
    pulls = pulls / width
    clusters = float(shares.sum() ** 2 / np.square(shares).sum())
    variance, third = float(np.square(pulls).sum()), float((pulls**3).sum())
    if variance <= ALIKE or p in (0.0, 1.0):
        other = Z95**2 / (clusters + Z95**2)
        low, high = p - other * p, p + other * (1 - p)
    else:
        carriers = (k - 2) ** 2 / (k * (k - 1)) * variance**3 / max(third**2, ALIKE * variance**3)
        zero, most = -lowest / width, p * (1 - p)
        if 0 < zero < 1:
            most = min(most, max(zero, 1 - zero) ** 2 * _wilson(moved, clusters)[1])
        others = clusters * p * (1 - p) / most
        low, high = _wilson(
            p, others * (p * (1 - p) / variance / others) ** (1 - 1 / min(float(k), max(1.0, carriers)))
        )
    return lowest + width * max(0.0, low), lowest + width * min(1.0, high)


def _wilson(p: float, n: float) -> Bounds:
    """Wilson's score interval of a share of n answers."""
    middle, half = p + Z95**2 / (2 * n), Z95 * (p * (1 - p) / n + Z95**2 / (4 * n**2)) ** 0.5
    return (middle - half) / (1 + Z95**2 / n), (middle + half) / (1 + Z95**2 / n)


def _student(mean: float, pulls: Floats) -> Bounds | None:
    """Student's interval of a mean without bounds; none where clusters are alike, which says nothing of others."""
    k = len(pulls)
    variance = float(np.square(pulls).sum()) * k / (k - 1) if k > 1 else 0.0
    if not variance > ALIKE * max(1.0, mean**2):
        return None
    half = _t95(k - 1) * variance**0.5
    return mean - half, mean + half


def _t95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: Cornish and Fisher's series, to 1 %, and its two exact values before that."""
    if freedom < 3:
        return (12.7062047362, 4.3026527297)[freedom - 1]
    z, n = Z95, freedom
    series = (z**3 + z) / 4 / n + (5 * z**5 + 16 * z**3 + 3 * z) / 96 / n**2
    return z + series + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / n**3


def _metric(value: float, found: Bounds | None, scale: float, n: int, groups: int) -> Metric:
    if found is None:
        return Metric(value=value, n=n, groups=groups)
    return Metric(value=value, low=scale * found[0], high=scale * found[1], n=n, groups=groups)
