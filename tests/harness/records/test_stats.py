"""Means and intervals against figures worked by hand, at the bounds, and against what must not change them."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.records.stats import (
    DIFFERENCE,
    Z95,
    jackknife_metrics,
    mean_metric,
    sum_metric,
    sum_of_means,
)
from hermes.harness.records.types import Metric

SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1), min_size=2, max_size=40)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's interval as textbooks have it."""
    middle, half = p + Z95**2 / (2 * n), Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return (middle - half) / (1 + Z95**2 / n), (middle + half) / (1 + Z95**2 / n)


def interval(metric: Metric) -> tuple[float, float]:
    assert metric.low is not None
    assert metric.high is not None
    return metric.low, metric.high


def test_single_right_or_wrong_answers_have_the_textbooks_interval() -> None:
    found = mean_metric([0, 1, 1, 1], ["a", "b", "c", "d"])
    assert found.value == 0.75
    assert interval(found) == pytest.approx(wilson(0.75, 4))
    assert interval(found) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert (found.n, found.groups) == (4, 4)


def test_clusters_by_hand() -> None:
    """Pulls 1/6, -1/6, 0: variance 1/18, so .25 / (1/18) = 4.5 answers; the pulls are not skewed, so c = k = 3."""
    found = mean_metric([1, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
    assert interval(found) == pytest.approx(wilson(0.5, 3 * (4.5 / 3) ** (2 / 3)))
    assert (found.n, found.groups) == (6, 3)


def test_skewed_clusters_by_hand() -> None:
    """Four clusters of two, one wrong answer in one of them: as many clusters carry the variance as differ, one."""
    found = mean_metric([1, 1, 1, 1, 1, 1, 1, 0], list("aabbccdd"))
    assert found.value == 0.875
    assert interval(found) == pytest.approx(wilson(0.875, 4))


def test_clusters_of_different_sizes_by_hand() -> None:
    """Alike clusters of 3, 1, 1 and 1 answers count as 36 / 12 = 3; w = z^2 / (3 + z^2)."""
    w = Z95**2 / (3 + Z95**2)
    assert interval(mean_metric([1] * 6, list("aaabcd"))) == pytest.approx((1 - w, 1))
    assert interval(mean_metric([0] * 6, list("aaabcd"))) == pytest.approx((0, w))
    assert interval(mean_metric([0.5] * 6, list("aaabcd"))) == pytest.approx((0.5 - w / 2, 0.5 + w / 2))


def test_five_answers_all_right_are_not_certain() -> None:
    found = mean_metric([1] * 5, list("abcde"), scale=100)
    assert (found.value, found.high) == (100, 100)
    assert found.low == pytest.approx(100 * wilson(1, 5)[0])
    assert found.low == pytest.approx(56.55, abs=0.01)


def test_two_of_three_stay_within_percent() -> None:
    found = mean_metric([1, 1, 0], list("abc"), scale=100)
    assert interval(found) == pytest.approx((20.77, 93.85), abs=0.01)


def test_differences_stay_within_theirs() -> None:
    """On the scale of 0..1 a mean of 1/2 with 4 clusters of which none differs: w of the way to either bound."""
    w = Z95**2 / (4 + Z95**2)
    assert interval(mean_metric([0] * 4, list("abcd"), bounds=DIFFERENCE)) == pytest.approx((-w, w))
    assert interval(mean_metric([1] * 4, list("abcd"), bounds=DIFFERENCE)) == pytest.approx((1 - 2 * w, 1))


def test_points_of_two_hundred_know_their_bounds() -> None:
    found = mean_metric([2, 2, 2], list("abc"), scale=100, bounds=(0, 2))
    assert interval(found) == pytest.approx((200 * wilson(1, 3)[0], 200))


def test_values_without_bounds_have_students_interval() -> None:
    """1, 2 and 3: standard error 1 / sqrt 3, and t of two degrees of freedom is 4.3027."""
    for bounds in (None, (0.0, 1.0)):
        found = mean_metric([1, 2, 3], list("abc"), bounds=bounds)
        assert interval(found) == pytest.approx((2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4)
    assert mean_metric([7, 7, 7], list("abc"), bounds=None) == Metric(value=7, n=3, groups=3)


@pytest.mark.parametrize(("k", "t"), [(2, 12.706), (4, 3.182), (6, 2.571), (11, 2.228), (31, 2.042), (1001, 1.962)])
def test_students_quantile(k: int, t: float) -> None:
    values = np.arange(k, dtype=float)
    error = values.std(ddof=1) / math.sqrt(k)
    found = mean_metric(values, np.arange(k), bounds=None)
    assert (interval(found)[1] - found.value) / error == pytest.approx(t, rel=0.01)


def test_a_scale_multiplies_value_and_interval() -> None:
    plain, percent = (mean_metric([0, 1, 1], ["a", "b", "c"], scale) for scale in (1.0, 100.0))
    assert (percent.value, *interval(percent)) == pytest.approx(
        [100 * part for part in (plain.value, *interval(plain))]
    )


def test_no_interval_without_two_clusters_and_no_value_without_values() -> None:
    assert mean_metric([1, 0], ["a", "a"]) == Metric(value=0.5, n=2, groups=1)
    assert mean_metric([1, 0], ["a", "a"], bounds=None) == Metric(value=0.5, n=2, groups=1)
    assert math.isnan(mean_metric([], []).value)
    assert mean_metric([1, math.nan], ["a", "b"]).low is None
    assert math.isnan(sum_metric([]).value)
    assert math.isnan(sum_of_means([]).value)


def test_alike_items_in_a_cluster_widen_the_interval() -> None:
    values = [float(item % 3 == 0) for item in range(30) for _ in range(4)]
    clustered = mean_metric(values, [str(number // 4) for number in range(120)])
    assert interval(clustered) == pytest.approx(wilson(1 / 3, 30))
    assert interval(mean_metric(values, np.arange(120))) == pytest.approx(wilson(1 / 3, 120))


@given(SHARES, st.randoms())
def test_order_and_group_names_do_not_matter(values: list[float], random: Random) -> None:
    groups = [str(number % 5) for number in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    one = mean_metric(values, groups)
    other = mean_metric([values[k] for k in order], [f"x{groups[k]}" for k in order])
    assert other.value == pytest.approx(one.value, abs=1e-9)
    assert interval(other) == pytest.approx(interval(one), abs=1e-6)


@given(SHARES)
def test_intervals_hold_the_value_stay_within_bounds_and_are_never_points(values: list[float]) -> None:
    found = mean_metric(values, [str(number % 7) for number in range(len(values))])
    low, high = interval(found)
    assert 0 <= low <= found.value + 1e-12
    assert found.value - 1e-12 <= high <= 1
    assert low < high


@given(SHARES)
def test_wrong_mirrors_right(values: list[float]) -> None:
    groups = [str(number % 5) for number in range(len(values))]
    low, high = interval(mean_metric(values, groups))
    assert interval(mean_metric([1 - value for value in values], groups)) == pytest.approx(
        (1 - high, 1 - low), abs=1e-6
    )


def left_out(values: list[float], groups: list[int]) -> Metric:
    """The mean by leaving out one group at a time."""
    sums = np.array([[sum(v for v, g in zip(values, groups, strict=True) if g == one) for one in sorted({*groups})]]).T
    counts = np.array([[groups.count(one) for one in sorted({*groups})]], dtype=float).T
    without = (sums.sum() - sums) / (counts.sum() - counts)
    (found,) = jackknife_metrics([sum(values) / len(values)], without, counts, len(values))
    return found


def test_leaving_out_clusters_gives_the_interval_of_a_mean() -> None:
    values, groups = [1.0, 1, 0, 0, 1, 0, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3]
    found = left_out(values, groups)
    expected = mean_metric(values, [str(group) for group in groups])
    assert (found.value, *interval(found)) == pytest.approx((expected.value, *interval(expected)))
    assert (found.n, found.groups) == (8, 4)


def test_a_statistic_counts_the_clusters_that_it_divides_by() -> None:
    """Precision of two hits, said in two of sixty images: nothing is known of the fifty-eight others."""
    shares = np.zeros((60, 1))
    shares[:2] = 1
    (found,) = jackknife_metrics([1.0], np.ones((60, 1)), shares, 60)
    assert interval(found) == pytest.approx(wilson(1, 2))


def test_a_statistic_that_is_undefined_without_one_cluster_has_no_interval() -> None:
    without = np.array([[math.nan, 0.5], [1.0, 0.75], [1.0, 0.5]])
    first, second = jackknife_metrics([1.0, 0.5], without, np.ones((3, 2)), 3, 100)
    assert first == Metric(value=100, n=3, groups=3)
    assert interval(second)[0] < 50 < interval(second)[1]


def test_sums_of_independent_parts() -> None:
    one = Metric(value=0.75, low=0.5, high=0.875, n=3, groups=3)
    other = Metric(value=0.5, low=0.25, high=0.9, n=4, groups=2)
    difference = sum_metric([one, other], [1, -1])
    assert difference.value == 0.25
    assert interval(difference) == pytest.approx((0.25 - math.hypot(0.25, 0.4), 0.25 + math.hypot(0.125, 0.25)))
    assert (difference.n, difference.groups) == (7, 5)
    mean = sum_metric([one, other])
    assert mean.value == 0.625
    assert interval(mean) == pytest.approx((0.625 - math.hypot(0.25, 0.25) / 2, 0.625 + math.hypot(0.125, 0.4) / 2))


@given(st.lists(SHARES, min_size=1, max_size=4))
def test_sums_stay_within_the_sum_of_the_bounds(parts: list[list[float]]) -> None:
    metrics = [mean_metric(part, np.arange(len(part))) for part in parts]
    low, high = interval(sum_metric(metrics))
    assert low + 1e-12 >= 0
    assert high <= 1 + 1e-12
    together = sum_of_means([(np.array(part), np.arange(len(part)) + 100 * k) for k, part in enumerate(parts)])
    assert together.value == sum_metric(metrics).value
    assert 0 <= interval(together)[0] <= together.value + 1e-12
    assert together.value - 1e-12 <= interval(together)[1] <= 1


def test_clusters_of_several_parts_make_one_interval() -> None:
    """Two parts of two answers with half of them right: as four answers; three times the mean of the means."""
    parts = [(np.array([1.0, 0.0]), np.array([0, 1])), (np.array([0.0, 1.0]), np.array([2, 3]))]
    assert interval(sum_of_means(parts)) == pytest.approx(wilson(0.5, 4))
    found = sum_of_means(parts, [1.5, 1.5], scale=100)
    assert (found.value, *interval(found)) == pytest.approx((150, 300 * wilson(0.5, 4)[0], 300 * wilson(0.5, 4)[1]))
    assert (found.n, found.groups) == (4, 4)


def test_a_cluster_of_several_parts_is_one() -> None:
    """Two questions about each of four images, each a part of its own: as the mean of all questions by image."""
    right = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    images = ["b", "a", "d", "c"]
    found = sum_of_means([(part, images) for part in right])
    expected = mean_metric(right.ravel(), images * 2)
    assert (found.value, *interval(found)) == pytest.approx((expected.value, *interval(expected)))
    assert (found.n, found.groups) == (8, 4)


def test_a_part_without_interval_leaves_the_sum_without_one() -> None:
    found = sum_metric([Metric(value=1.0, low=0.9, high=1.1), Metric(value=0.0)])
    assert (found.value, found.low, found.high) == (0.5, None, None)
    lone = sum_of_means([(np.array([1.0, 0.0]), np.arange(2)), (np.array([1.0]), np.arange(1))])
    assert (lone.value, lone.low, lone.high) == (0.75, None, None)
