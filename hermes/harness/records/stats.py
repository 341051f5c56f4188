"""Means and intervals that respect clusters: items that share a group are never taken as independent."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.types import Metric

Z95 = 1.959963984540054
REPLICATES = 1000
# The group of each item, by name or by number; numbers are to follow the order of the names.
Groups = Sequence[str] | NDArray[np.integer[Any]]


def _clusters(groups: Groups) -> tuple[NDArray[np.intp], int]:
    """The number of each item's group among the sorted group names, and how many groups there are."""
    if isinstance(groups, np.ndarray):
        different, index = np.unique(groups, return_inverse=True)
        return index, len(different)
    numbers = {name: number for number, name in enumerate(sorted(set(groups)))}
    return np.fromiter((numbers[name] for name in groups), dtype=np.intp, count=len(groups)), len(numbers)


def mean_metric(values: Sequence[float] | NDArray[np.float64], groups: Groups, scale: float = 1.0) -> Metric:
    """The mean with its cluster-robust 95 % interval (sandwich estimator with the k/(k-1) correction).

    ``scale`` multiplies value and interval (100 for percent). One cluster gives no interval; no value gives NaN.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Metric(value=float("nan"))
    mean = float(x.mean())
    index, k = _clusters(groups)
    if k < 2:
        return Metric(value=scale * mean, n=x.size, groups=k)
    sums = np.bincount(index, weights=x - mean, minlength=k)
    half = Z95 * float(np.sqrt(k / (k - 1) * np.square(sums).sum())) / x.size
    return Metric(value=scale * mean, low=scale * (mean - half), high=scale * (mean + half), n=int(x.size), groups=k)


def bootstrap_metric(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: Groups,
    scale: float = 1.0,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Metric:
    """Any statistic of the items with a percentile interval from resampling whole clusters.

    ``statistic`` takes item indices, with repeats, and returns a number (NaN replicates are left out).
    """
    found = bootstrap_metrics(lambda items: [statistic(items)], groups, scale, replicates, seed)
    return found[0] if found else Metric(value=float("nan"))


def bootstrap_metrics(
    statistics: Callable[[NDArray[np.intp]], Sequence[float]],
    groups: Groups,
    scale: float = 1.0,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Metric]:
    """As `bootstrap_metric`, for several statistics of the same resampled items; without items none."""
    index, k = _clusters(groups)
    n = len(index)
    if n == 0:
        return []
    values = [float(value) for value in statistics(np.arange(n))]
    if k < 2:
        return [Metric(value=scale * value, n=n, groups=k) for value in values]
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(index, minlength=k))[:-1]) if k < n else []
    rng = np.random.default_rng(seed)

    def resample() -> NDArray[np.intp]:
        drawn = rng.integers(0, k, k)
        return order[drawn] if k == n else np.concatenate([members[c] for c in drawn])

    draws = np.array([statistics(resample()) for _ in range(replicates)], dtype=np.float64).reshape(replicates, -1)
    return [_percentile_metric(scale * value, scale * one, n, k) for value, one in zip(values, draws.T, strict=True)]


def _percentile_metric(value: float, draws: NDArray[np.float64], n: int, groups: int) -> Metric:
    finite = draws[np.isfinite(draws)]
    if finite.size == 0:
        return Metric(value=value, n=n, groups=groups)
    low, high = np.percentile(finite, (2.5, 97.5))
    return Metric(value=value, low=float(low), high=float(high), n=n, groups=groups)


def sum_metric(parts: Sequence[Metric], weights: Sequence[float] | None = None) -> Metric:
    """A weighted sum of independent metrics; variances add. Without weights: the plain mean of the parts."""
    if not parts:
        return Metric(value=float("nan"))
    w = [1 / len(parts)] * len(parts) if weights is None else list(weights)
    value = sum(a * part.value for a, part in zip(w, parts, strict=True))
    n, groups = sum(part.n for part in parts), sum(part.groups for part in parts)
    halves = [(part.high - part.low) / 2 for part in parts if part.low is not None and part.high is not None]
    if len(halves) < len(parts):
        return Metric(value=value, n=n, groups=groups)
    half = float(np.sqrt(sum((a * h) ** 2 for a, h in zip(w, halves, strict=True))))
    return Metric(value=value, low=value - half, high=value + half, n=n, groups=groups)
