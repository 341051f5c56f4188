"""Gaps below 0: which are best, how they are sorted and spelled, and what a self-play says of them."""

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import gap, result, run
from played import play

from hermes.harness.records.types import Metric
from hermes.leaderboards import leaderboard, tables_of
from hermes.leaderboards.changes import against, against_table, changes, changes_table, steps_table
from hermes.leaderboards.nearer import is_nearer
from hermes.leaderboards.origins import Difference
from hermes.leaderboards.paired import closed
from hermes.leaderboards.plays import named_arm
from hermes.leaderboards.ranking import ranked
from hermes.leaderboards.tables import Cell, Column, Table, text_column

VALUES = st.integers(-100, 100).map(lambda value: value / 100)
HALVES = st.integers(0, 40).map(lambda half: half / 100)


@dataclass
class Known:
    """A gap whose difference from any other is known to so much either side."""

    value: float
    half: float
    partial: bool = False

    def why_not(self, base: Any) -> str:
        return ""

    def minus(self, base: "Known") -> Difference:
        return Difference(_metric(self.value - base.value, self.half), paired=True)


def _metric(value: float, half: float) -> Metric:
    return Metric(value=value, low=value - half, high=value + half)


def _marks(gaps: list[tuple[float, float]], half: float) -> tuple[list[str], tuple[str, ...]]:
    """What is best and second of gaps with intervals of their own, and the notes."""
    rows = [
        (Cell(text="x"), Cell(value, low=value - own, high=value + own, origin=Known(value, half)))
        for value, own in gaps
    ]
    table = ranked(Table("t", (text_column("Model"), Column("Gap", 3, "nearest")), tuple(rows)))
    return ["best" * row[1].best + "second" * row[1].second for row in table.rows], table.notes


@given(st.lists(st.tuples(VALUES.map(abs), HALVES), min_size=2, max_size=5), HALVES)
def test_of_gaps_above_0_the_lowest_is_best_and_below_0_the_same_ones_are(
    gaps: list[tuple[float, float]], half: float
) -> None:
    marks, notes = _marks(gaps, half)
    lowest, *others = sorted(value for value, _ in gaps)
    is_sure = all(lowest - other + half < 0 for other in others)
    assert [mark == "best" for mark in marks] == [is_sure and value == lowest for value, _ in gaps]
    assert _marks([(-value, own) for value, own in gaps], half) == (marks, notes) == (marks, ())


@given(st.lists(st.tuples(VALUES, HALVES), min_size=2, max_size=5), HALVES)
def test_a_best_gap_is_nearest_to_0_and_none_is_best_where_they_are_on_both_sides(
    gaps: list[tuple[float, float]], half: float
) -> None:
    marks, notes = _marks(gaps, half)
    is_below, is_above = any(value + own < 0 for value, own in gaps), any(value - own > 0 for value, own in gaps)
    assert bool(notes) is (is_below and is_above)
    assert not (notes and any(marks))
    distances = sorted(abs(value) for value, _ in gaps)
    for (value, _), mark in zip(gaps, marks, strict=True):
        assert not mark or abs(value) == distances[mark == "second"]


@given(VALUES, VALUES, HALVES, HALVES)
def test_a_gap_on_the_other_side_of_0_is_nearer_where_its_whole_interval_is(
    one: float, other: float, half: float, more: float
) -> None:
    mine, theirs = _metric(one, half), _metric(other, more)
    if is_nearer(mine, theirs, one - other):
        assert abs(one) < abs(other)
        assert not is_nearer(theirs, mine, other - one)
        ends = product((mine.low or 0.0, mine.high or 0.0), (theirs.low or 0.0, theirs.high or 0.0))
        assert one * other >= 0 or all(abs(a) < abs(b) for a, b in ends)
    elif one * other < 0:
        assert abs(other) - more <= abs(one) + half + 1e-9


def test_a_mean_without_an_interval_is_not_nearer_across_0() -> None:
    assert not is_nearer(Metric(value=-0.01), _metric(0.5, 0.01), -0.51)
    assert not is_nearer(_metric(-0.01, 0.02), Metric(value=0.5), -0.51)
    assert is_nearer(_metric(-0.01, 0.02), _metric(0.5, 0.01), -0.51)


def _runs(root: Path, *gaps: float) -> Path:
    for value in gaps:
        u, name = 0.6, f"{value:+.2f}"
        both = {"homologous-u": result("homologous-u", u), "homologous-g": result("homologous-g", u - value)}
        run(root / name, name, both, gap=gap(u, u - value))
    return root


def test_rows_are_sorted_by_their_distance_from_0(tmp_path: Path) -> None:
    (table,) = tables_of(_runs(tmp_path, -0.2, 0.01, 0.1, -0.05), sort="gap")
    assert [row[0].text for row in table.rows] == ["+0.01", "-0.05", "+0.10", "-0.20"]
    assert [row[1].best for row in table.rows] == [False] * 4
    assert [note for note in table.notes if "none is best" in note] == [
        "Gap (U - G): some gaps are below 0 and some above it, and no paired interval tells which is nearer, so none "
        "is best."
    ]
    assert table.caption == "Higher is better, gaps nearer to 0."


def test_differences_of_gaps_begin_with_the_lowest(tmp_path: Path) -> None:
    _, table = tables_of(_runs(tmp_path, 0.1, 0.2, 0.3, 0.4), sort="gap", base="+0.30")
    assert [round(row[1].value or 0.0, 3) for row in table.rows] == [-0.2, -0.1, 0.1]


@pytest.mark.parametrize(
    ("format", "spelled"),
    [
        ("latex", r"\textbf{$-$0.050} {\tiny [$-$0.070, $-$0.030]}"),
        ("html", '-0.050 <span class="more">[-0.070, -0.030]</span>'),
        ("md", "**-0.050 [-0.070, -0.030]**"),
    ],
)
def test_the_nearest_of_gaps_below_0_is_marked_and_spelled_with_a_minus(
    tmp_path: Path, format: str, spelled: str
) -> None:
    assert spelled in leaderboard(_runs(tmp_path, -0.2, -0.05), format=format, intervals=True)


def _verdicts(folder: Path, right: list[int], arm: str = "flow") -> Path:
    """A self-play of forty items: U is right for half of them, G in each round for so many."""
    rounds = [{f"{k:02}": ((float(k < 20),), float(k < found)) for k in range(40)} for found in right]
    return play(folder, arm, 0, rounds)


def _last(table: Table) -> list[str]:
    return [row[-1].text for row in table.rows]


@pytest.mark.parametrize(
    ("right", "verdicts"),
    [
        ([40, 30, 22, 38], ["smaller", "smaller", "larger"]),  # below 0
        ([0, 10, 18, 2], ["smaller", "smaller", "larger"]),  # above 0
        ([40, 19, 40, 11], ["smaller", "larger", "unclear"]),  # across 0
    ],
)
def test_a_gap_is_smaller_where_it_is_nearer_to_0(tmp_path: Path, right: list[int], verdicts: list[str]) -> None:
    assert _last(steps_table(changes([_verdicts(tmp_path / "a", right)]))) == verdicts


def test_an_arm_nearer_to_0_than_the_base_has_the_smaller_gap(tmp_path: Path) -> None:
    folders = [_verdicts(tmp_path / "a", [40, 40], "a"), _verdicts(tmp_path / "b", [40, 25], "b")]
    assert _last(against_table(against(folders, named_arm, "a"))) == ["smaller"]
    assert _last(against_table(against(folders, named_arm, "b"))) == ["larger"]


def test_the_share_of_a_gap_below_0_that_was_closed(tmp_path: Path) -> None:
    table = changes_table(changes([_verdicts(tmp_path / "a", [40, 30, 20, 15, 40])]))
    assert [row[-1].value for row in table.rows] == [50, 100, 125, 0]
    assert "over 100 where the gap has crossed 0" in table.caption


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8))
def test_the_same_share_is_closed_on_either_side_of_0(gaps: list[tuple[float, float]]) -> None:
    def share(sign: float) -> Metric:
        before, after = ({str(k): sign * pair[side] for k, pair in enumerate(gaps)} for side in (0, 1))
        return closed([(before, after)])

    assert repr(share(1.0)) == repr(share(-1.0))


def test_latex_has_a_minus_in_every_number(tmp_path: Path) -> None:
    text = leaderboard(_runs(tmp_path, -0.2, 0.01), format="latex", intervals=True, deltas=True)
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "Model" not in line]
    assert not re.search(r"(?<!\$)-\d", " ".join(line.partition("&")[2] for line in rows))
