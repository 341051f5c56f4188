"""How often the 95 % intervals hold the truth: in 92 to 97 of 100 samples, in the middle and at both edges.

Samples are of several kinds: clusters of one answer, of alike answers, of different sizes, and values between right
and wrong, as the share of an image's questions is. Near an edge with few clusters some samples hold no wrong answer (or
no right one) at all. Their interval must hold the truth, so that only the other side can miss, which it should in 2.5
of 100 samples: there the upper limit is 97.5, and what chance adds to it in so many tries.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hermes.harness.records.stats import DIFFERENCE, jackknife_metrics, mean_metric, sum_of_means
from hermes.harness.records.types import Metric

Floats = NDArray[np.float64]
Sample = tuple[Floats, NDArray[np.intp]]
CLUSTERS, TRUTHS, TRIES = (16, 60, 400), (0.016, 0.5, 0.98), 1000
LEAST, MOST, ONE_SIDED = 0.92, 0.97, 0.975


def chances(rng: np.random.Generator, truth: float, k: int, alike: float) -> Floats:
    """The chance of a right answer in each cluster; ``alike`` is the correlation of two answers of one cluster."""
    weight = (1 - alike) / alike
    return rng.beta(truth * weight, (1 - truth) * weight, k)


def fours(rng: np.random.Generator, truth: float, k: int) -> Sample:
    right = rng.random((k, 4)) < chances(rng, truth, k, 0.5)[:, None]
    return right.ravel().astype(float), np.repeat(np.arange(k), 4)


def uneven(rng: np.random.Generator, truth: float, k: int) -> Sample:
    """Clusters of 1 to 8 answers."""
    groups = np.repeat(np.arange(k), rng.integers(1, 9, k))
    return (rng.random(len(groups)) < chances(rng, truth, k, 0.2)[groups]).astype(float), groups


def sixths(rng: np.random.Generator, truth: float, k: int) -> Sample:
    """One value a cluster: the share of six questions."""
    return rng.binomial(6, chances(rng, truth, k, 0.7)) / 6, np.arange(k)


def smooth(rng: np.random.Generator, truth: float, k: int) -> Sample:
    """One value a cluster, anywhere between the bounds."""
    return chances(rng, truth, k, 0.05), np.arange(k)


def coverage(metric: Callable[[np.random.Generator], Metric], truth: float) -> float:
    rng = np.random.default_rng(0)
    found = [metric(rng) for _ in range(TRIES)]
    assert all(one.low is not None and one.high is not None for one in found)
    return sum(one.low <= truth <= one.high for one in found) / TRIES  # type: ignore[operator]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("k", CLUSTERS)
def test_right_or_wrong(k: int, truth: float) -> None:
    """Exactly: the probability of all numbers of right answers whose interval holds the truth."""
    held = 0.0
    for right in range(k + 1):
        found = mean_metric([1.0] * right + [0.0] * (k - right), np.arange(k))
        if found.low <= truth <= found.high:  # type: ignore[operator]
            held += math.comb(k, right) * truth**right * (1 - truth) ** (k - right)
    # Of 16 answers none is right in 77 of 100 samples and one in 20: what holds both holds 97.4.
    assert LEAST <= held <= (ONE_SIDED if (k, truth) == (16, 0.016) else MOST)


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("k", CLUSTERS)
@pytest.mark.parametrize("kind", [fours, uneven, sixths, smooth])
def test_clusters(kind: Callable[..., Sample], k: int, truth: float) -> None:
    few = k < 400 and truth != 0.5
    chance = 2 * (ONE_SIDED * (1 - ONE_SIDED) / TRIES) ** 0.5
    held = coverage(lambda rng: mean_metric(*kind(rng, truth, k)), truth)
    assert LEAST <= held <= (ONE_SIDED + chance if few else MOST)


@pytest.mark.parametrize("truth", TRUTHS)
def test_means_of_tasks(truth: float) -> None:
    def overall(rng: np.random.Generator) -> Metric:
        parts = [fours(rng, truth, k) for k in (16, 20, 24, 16)]
        return sum_of_means([(values, groups + 100 * task) for task, (values, groups) in enumerate(parts)])

    assert LEAST <= coverage(overall, truth) <= MOST


@pytest.mark.parametrize("k", CLUSTERS)
def test_paired_differences(k: int) -> None:
    def paired(rng: np.random.Generator) -> Metric:
        """Of 10 items 2 get worse and 3 better."""
        return mean_metric(rng.choice([-1.0, 0.0, 1.0], k, p=[0.2, 0.5, 0.3]), np.arange(k), bounds=DIFFERENCE)

    assert LEAST <= coverage(paired, 0.1) <= MOST


@pytest.mark.parametrize(("worse", "better"), [(0.002, 0.002), (0.005, 0.01), (0.0, 0.02), (0.02, 0.03)])
@pytest.mark.parametrize("k", [220, 400])
def test_paired_differences_of_few_items(k: int, worse: float, better: float) -> None:
    """Six questions an item, of which mostly one differs: what is hardly seen may be missed, but not by much.

    An interval that takes every item for a coin would be 4 / sqrt(k) wide.
    """
    widths = []

    def paired(rng: np.random.Generator) -> Metric:
        moved = rng.choice([-1.0, 0.0, 1.0], k, p=[worse, 1 - worse - better, better])
        values = moved[:, None] * (np.arange(6) < 1 + rng.binomial(5, 0.2, k)[:, None])
        found = mean_metric(values.ravel(), np.repeat(np.arange(k), 6), bounds=DIFFERENCE)
        widths.append(found.high - found.low)  # type: ignore[operator]
        return found

    assert coverage(paired, (better - worse) / 3) >= LEAST
    assert max(widths) <= 14 / k


@pytest.mark.parametrize("truth", TRUTHS)
def test_ratios(truth: float) -> None:
    """As precision: right ones among those that were said, a number of its own in each cluster."""

    def ratio(rng: np.random.Generator) -> Metric:
        said = rng.integers(0, 4, 60)
        sums = np.stack([rng.binomial(said, truth), said], axis=1).astype(float)
        whole, without = sums.sum(axis=0), sums.sum(axis=0) - sums
        (found,) = jackknife_metrics([whole[0] / whole[1]], without[:, :1] / without[:, 1:], sums[:, 1:], 60)
        return found

    assert LEAST <= coverage(ratio, truth) <= MOST
