"""Columns: what is kept of scores, their parts by tag and by group, and means as over the scores themselves."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.contracts.columns import Collector, collect
from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Sample, Score

LINES = st.lists(
    st.tuples(st.sampled_from("dbca"), st.floats(-10, 10), st.sampled_from(["x", "y", None])), min_size=1, max_size=30
)


def scores(lines):
    """(sample, score) from (group, value, tag or None); the stream can be gone through once."""
    sample = Sample(id="s", group_id="g", ability="understanding", prompt="?")
    for number, (group, value, tag) in enumerate(lines):
        tags = {} if tag is None else {"kind": tag}
        yield sample, Score(sample_id=str(number), index=0, group_id=group, values={"v": value}, tags=tags)


@given(LINES)
def test_means_are_those_of_the_scores_themselves(lines):
    columns = collect(scores(lines), ("v",), ("kind",))
    groups, values = [group for group, _, _ in lines], [value for _, value, _ in lines]
    assert len(columns) == len(lines)
    assert columns.mean("v", 100) == mean_metric(values, groups, 100)
    tagged = {tag: [line for line in lines if line[2] == tag] for tag in ("x", "y")}
    assert columns.means("v", "kind", prefix="of/") == {
        f"of/{tag}": mean_metric([value for _, value, _ in part], [group for group, _, _ in part])
        for tag, part in tagged.items()
        if part
    }


@given(LINES)
def test_groups_stand_in_the_order_of_their_first_scores(lines):
    columns = collect(scores(lines), ("v",))
    found = defaultdict(list)
    for group, value, _ in lines:
        found[group].append(value)
    by_name = {name: code for code, name in enumerate(sorted(found))}
    codes, counts, sums = columns.by_group("v")
    assert codes.tolist() == [by_name[name] for name in found]
    assert counts.tolist() == [len(values) for values in found.values()]
    assert sums.tolist() == [in_turn(values) for values in found.values()]
    means = [in_turn(values) / len(values) for values in found.values()]
    assert columns.grouped("v").metric() == mean_metric(means, list(found))


def in_turn(values):
    total = 0.0
    for value in values:
        total += value
    return total


def test_a_part_has_parts_of_its_own():
    lines = [("a", 1.0, "x"), ("b", 2.0, "y"), ("a", 3.0, None)]
    parts = dict(collect(scores(lines), ("v",), ("kind",)).by_tag("kind"))
    assert {name: part.values["v"].tolist() for name, part in parts.items()} == {"x": [1.0], "y": [2.0]}
    assert [name for name, _ in parts["y"].by_tag("kind")] == ["y"]


def test_a_missing_value_is_nan_and_a_name_that_is_not_wanted_is_left_out():
    collector = Collector(("v",), ("kind",))
    collector.add("a", {"v": 1.0, "other": 5.0}, {"kind": "x", "other": "z"})
    collector.add("a", {})
    columns = collector.columns()
    assert columns.values["v"][0] == 1.0
    assert math.isnan(columns.values["v"][1])
    assert (set(columns.values), columns.names) == ({"v"}, {"kind": ["x"]})
    assert columns.tags["kind"].tolist() == [0, -1]


def test_nothing_has_no_mean():
    columns = collect(iter(()), ("v",), ("kind",))
    assert len(columns) == 0
    assert math.isnan(columns.mean("v").value)
    assert math.isnan(columns.grouped("v").metric().value)
    assert columns.means("v", "kind") == {}


def test_groups_may_be_numbers_in_the_order_of_their_names():
    names, values = ["b", "a", "b", "c"], [1.0, 2.0, 4.0, 8.0]
    assert mean_metric(values, np.array([5, 2, 5, 9])) == mean_metric(values, names)


@pytest.mark.parametrize("tags", [(), ("kind",)])
def test_columns_may_be_taken_while_they_grow(tags):
    collector = Collector(("v",), tags)
    collector.add("a", {"v": 1.0}, {"kind": "x"})
    before = collector.columns()
    collector.add("b", {"v": 2.0}, {"kind": "a"})
    assert (len(before), len(collector.columns())) == (1, 2)
    assert collector.columns().groups.tolist() == [0, 1]
