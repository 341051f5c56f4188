"""Means and intervals against figures worked by hand, and against what sampling theory promises."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hermes.harness.records.stats import Z95, bootstrap_metric, mean_metric, sum_metric
from hermes.harness.records.types import Metric

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=40)


def half(metric: Metric) -> float:
    assert metric.low is not None
    assert metric.high is not None
    return (metric.high - metric.low) / 2


def test_independent_values_by_hand() -> None:
    found = mean_metric([0, 1, 1, 1], ["a", "b", "c", "d"])
    standard_error = math.sqrt((0.75**2 + 3 * 0.25**2) / 3 / 4)
    assert found.value == 0.75
    assert half(found) == pytest.approx(Z95 * standard_error)
    assert (found.n, found.groups) == (4, 4)


def test_clusters_by_hand() -> None:
    found = mean_metric([1, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
    sums = [1.0, -1.0, 0.0]
    assert half(found) == pytest.approx(Z95 * math.sqrt(3 / 2 * sum(s * s for s in sums)) / 6)
    assert (found.n, found.groups) == (6, 3)


def test_a_scale_multiplies_value_and_interval() -> None:
    plain, percent = (mean_metric([0, 1, 1], ["a", "b", "c"], scale) for scale in (1.0, 100.0))
    assert (percent.value, percent.low, percent.high) == pytest.approx(
        (100 * plain.value, 100 * (plain.low or 0), 100 * (plain.high or 0))
    )


def test_no_interval_without_two_clusters_and_no_value_without_values() -> None:
    assert mean_metric([1, 0], ["a", "a"]) == Metric(value=0.5, n=2, groups=1)
    assert math.isnan(mean_metric([], []).value)
    assert bootstrap_metric(lambda index: 0.5, ["a", "a"]) == Metric(value=0.5, n=2, groups=1)
    assert math.isnan(bootstrap_metric(lambda index: 0.5, []).value)
    assert math.isnan(sum_metric([]).value)


def test_alike_items_in_a_cluster_widen_the_interval() -> None:
    values = [float(item % 3 == 0) for item in range(30) for _ in range(4)]
    clustered = mean_metric(values, [str(number // 4) for number in range(120)])
    naive = mean_metric(values, [str(number) for number in range(120)])
    assert clustered.value == naive.value
    assert half(clustered) == pytest.approx(2 * half(naive), rel=0.03)


@given(VALUES, st.randoms())
def test_order_and_group_names_do_not_matter(values: list[float], random: Random) -> None:
    groups = [str(number % 5) for number in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    one = mean_metric(values, groups)
    other = mean_metric([values[k] for k in order], [f"x{groups[k]}" for k in order])
    assert one.value == pytest.approx(other.value, abs=1e-9)
    assert half(one) == pytest.approx(half(other), abs=1e-9)


@given(VALUES, st.floats(-50, 50))
def test_a_shift_moves_the_interval_and_keeps_its_width(values: list[float], shift: float) -> None:
    groups = [str(number) for number in range(len(values))]
    one, other = mean_metric(values, groups), mean_metric([value + shift for value in values], groups)
    assert other.value == pytest.approx(one.value + shift, abs=1e-9)
    assert half(other) == pytest.approx(half(one), abs=1e-9)


@pytest.mark.parametrize("kind", ["mean", "bootstrap"])
def test_nineteen_of_twenty_intervals_hold_the_truth(kind: str) -> None:
    rng = np.random.default_rng(0)
    groups = [str(number // 3) for number in range(180)]

    def interval() -> Metric:
        shared = np.repeat(rng.normal(size=60), 3)
        values: NDArray[np.float64] = 0.4 + shared + rng.normal(size=180)
        if kind == "mean":
            return mean_metric(values.tolist(), groups)
        return bootstrap_metric(lambda index: float(values[index].mean()), groups, replicates=200)

    tries = 200
    hits = sum(metric.low <= 0.4 <= metric.high for metric in (interval() for _ in range(tries)))  # type: ignore[operator]
    assert 0.90 <= hits / tries <= 0.99


def test_the_bootstrap_of_a_mean_is_close_to_the_formula() -> None:
    values = np.random.default_rng(1).random(300)
    groups = [str(number // 2) for number in range(300)]
    formula = mean_metric(values.tolist(), groups, scale=100)
    drawn = bootstrap_metric(lambda index: float(values[index].mean()), groups, scale=100)
    assert drawn.value == pytest.approx(formula.value)
    assert half(drawn) == pytest.approx(half(formula), rel=0.1)
    assert (drawn.n, drawn.groups) == (formula.n, formula.groups)


def test_the_bootstrap_is_seeded_and_keeps_clusters_whole() -> None:
    groups = ["a", "b", "a", "b", "c"]
    seen: list[list[int]] = []

    def statistic(index: NDArray[np.intp]) -> float:
        seen.append(index.tolist())
        return float(index.mean())

    first = bootstrap_metric(statistic, groups, seed=3)
    draws = seen.copy()
    seen.clear()
    assert first == bootstrap_metric(statistic, groups, seed=3)
    assert seen == draws
    assert all(draw.count(0) == draw.count(2) and draw.count(1) == draw.count(3) for draw in draws)
    seen.clear()
    bootstrap_metric(statistic, groups, seed=4)
    assert seen != draws


def test_replicates_that_are_undefined_are_left_out() -> None:
    groups = [str(number) for number in range(6)]
    found = bootstrap_metric(lambda index: float("nan") if 0 not in index else float(index.mean()), groups)
    assert found.low is not None
    assert found.low < found.value
    never = bootstrap_metric(lambda index: float("nan"), groups)
    assert (never.low, never.high) == (None, None)


def test_sums_of_independent_parts() -> None:
    one = Metric(value=0.8, low=0.5, high=1.1, n=3, groups=3)
    other = Metric(value=0.5, low=0.1, high=0.9, n=4, groups=2)
    difference = sum_metric([one, other], [1, -1])
    assert difference.value == pytest.approx(0.3)
    assert half(difference) == pytest.approx(0.5)
    assert (difference.n, difference.groups) == (7, 5)
    mean = sum_metric([one, other])
    assert mean.value == pytest.approx(0.65)
    assert half(mean) == pytest.approx(0.25)


def test_a_part_without_interval_leaves_the_sum_without_one() -> None:
    found = sum_metric([Metric(value=1.0, low=0.9, high=1.1), Metric(value=0.0)])
    assert (found.value, found.low, found.high) == (0.5, None, None)
