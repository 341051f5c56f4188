"""One model, many runs: what shares a row, what has a row of its own, what is shown once, and what is never mixed."""

from pathlib import Path
from typing import Any

import pytest
from made import gap, model, result, run

from hermes.leaderboards import leaderboard
from hermes.leaderboards.board import boards
from hermes.leaderboards.ranking import differences, ranked
from hermes.leaderboards.read import read_runs
from hermes.leaderboards.tables import Table, spell

ORACLE, VLM = "oracle 1", "vlm 2"


@pytest.fixture
def add(tmp_path: Path) -> Any:
    """Write a run of the model "tiny" on real data: ``add("a", {"pope": 80.0})``; results may be given ready."""

    def write(name: str, results: dict[str, Any], **changes: Any) -> None:
        found = {task: value if hasattr(value, "n") else real(task, value) for task, value in results.items()}
        run(tmp_path / name, "tiny", found, **{"world": "real", "run_id": name} | changes)

    return write


def real(task: str, value: float, **changes: Any) -> Any:
    return result(task, value, "real", **changes)


def board(folder: Path) -> Table:
    (found,) = boards(read_runs([folder]))
    return found


def shown(folder: Path) -> dict[str, dict[str, str]]:
    """Row label to column to number, as it is spelled; empty cells are left out."""
    lines = [line for line in leaderboard([folder]).splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    numbers = range(1, len(head) - 1)  # Params stands last.
    found = {row[0]: {head[k]: row[k].replace("*", "") for k in numbers if row[k] != "-"} for row in rows}
    assert len(found) == len(rows), "two rows have one label"
    return found


def test_runs_of_one_model_share_a_row_and_a_task_measured_twice_appears_once(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0})
    add("b", {"pope": 80.0, "gqa": 60.0})
    add("c", {"mme": 1200.0}, schema=1)
    assert shown(tmp_path) == {"tiny": {"POPE": "80.0", "MME": "1200.0", "GQA": "60.0"}}
    assert "Measured: tiny (b, c, a)." in board(tmp_path).sources
    assert not any("differ" in note or "partial" in note for note in board(tmp_path).notes)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"seed": 3}, {"tiny (seed 0)", "tiny (seed 3)"}),
        ({"model": model().model_copy(update={"dtype": "bfloat16"})}, {"tiny (float32)", "tiny (bfloat16)"}),
        ({"model": model().model_copy(update={"fingerprint": "w-2"})}, {"tiny (weights w-tiny)", "tiny (weights w-2)"}),
        (
            {"model": model().model_copy(update={"revision": "r2", "fingerprint": "w-2"})},
            {"tiny (revision none)", "tiny (revision r2)"},
        ),
        ({"model": model().model_copy(update={"resolution": 512})}, {"tiny (a)", "tiny (b)"}),
        ({"label": "other"}, {"tiny", "other"}),
    ],
)
def test_another_model_seed_or_precision_is_another_row(
    tmp_path: Path, add: Any, changes: dict[str, Any], labels: set[str]
) -> None:
    add("a", {"pope": 80.0})
    add("b", {"gqa": 60.0}, **changes)
    assert set(shown(tmp_path)) == labels


def test_another_protocol_has_a_row_with_what_differs(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0, "mme": 1200.0})
    # GQA lacks the protocol that was asked for and falls back to its own: it joins the official row.
    add("b", {"pope": real("pope", 82.0, protocol="lmms-eval"), "gqa": 60.0}, protocol="lmms-eval")
    assert shown(tmp_path) == {
        "tiny (official protocol)": {"POPE": "80.0", "MME": "1200.0", "GQA": "60.0"},
        "tiny (lmms-eval protocol)": {"POPE": "82.0"},
    }
    assert "POPE: the rows differ in protocol, so none is best." in ranked(board(tmp_path)).notes


def test_a_task_that_falls_back_stays_with_its_run_where_nobody_asked_for_its_protocol(
    tmp_path: Path, add: Any
) -> None:
    add("b", {"pope": real("pope", 82.0, protocol="lmms-eval"), "gqa": 60.0}, protocol="lmms-eval")
    assert shown(tmp_path) == {"tiny": {"POPE": "82.0", "GQA": "60.0"}}


def test_a_protocol_that_is_not_the_official_one_is_said_beside_other_models(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0}, label="first")
    add("b", {"pope": real("pope", 82.0, protocol="lmms-eval")}, protocol="lmms-eval")
    assert set(shown(tmp_path)) == {"first", "tiny (lmms-eval protocol)"}


def test_two_judges_of_the_same_answers_stand_side_by_side(tmp_path: Path, add: Any) -> None:
    for name, judge, g in (("a", ORACLE, 0.4), ("b", VLM, 0.45)):
        homologous = {"homologous-u": real("homologous-u", 0.6), "homologous-g": real("homologous-g", g, judge=judge)}
        add(name, homologous | ({"pope": 80.0} if name == "a" else {}), gap=gap(0.6, g))
    assert shown(tmp_path) == {
        "tiny (judge oracle 1)": {"POPE": "80.0", "U": "0.600", "G": "0.400", "Gap (U - G)": "0.200"},
        "tiny (judge vlm 2)": {"U": "0.600", "G": "0.450", "Gap (U - G)": "0.150"},
    }
    measured = "Measured: tiny (judge oracle 1) (a, judge oracle 1); tiny (judge vlm 2) (b, judge vlm 2)."
    assert measured in board(tmp_path).sources


def test_judges_of_different_tasks_share_a_row(tmp_path: Path, add: Any) -> None:
    add("a", {"geneval": real("geneval", 0.5, judge=ORACLE)})
    add("b", {"homologous-g": real("homologous-g", 0.45, judge=VLM)})
    assert shown(tmp_path) == {"tiny": {"GenEval": "0.500", "G": "0.450"}}


@pytest.mark.parametrize(
    ("change", "first", "second"),
    [
        ({"data": "b"}, "tiny (data of a)", "tiny (data of b)"),
        ({"version": "2"}, "tiny (version 1)", "tiny (version 2)"),
    ],
)
def test_other_data_and_versions_have_a_row(
    tmp_path: Path, add: Any, change: dict[str, str], first: str, second: str
) -> None:
    add("a", {"pope": 80.0, "mme": 1200.0})
    add("b", {"pope": real("pope", 70.0, **change), "mme": 1200.0})
    assert shown(tmp_path) == {first: {"POPE": "80.0", "MME": "1200.0"}, second: {"POPE": "70.0"}}
    data = "tiny has POPE on 2 sets of data: real, fingerprint pope-a (a); real, fingerprint pope-b (b)."
    assert (data in board(tmp_path).notes) == ("data" in change)


def test_a_partial_number_is_used_only_where_there_is_no_full_one_and_is_never_ranked(tmp_path: Path, add: Any) -> None:
    limited = {"pope": real("pope", 99.0, n=10, data="first ten"), "gqa": real("gqa", 99.0, n=10, data="first ten")}
    add("a", limited, limit=10)
    add("b", {"pope": 80.0})
    add("c", {"pope": 70.0, "gqa": 50.0}, label="other")
    assert shown(tmp_path) == {
        "tiny": {"POPE": "80.0", "GQA": "99.0 (partial)"},
        "other": {"POPE": "70.0", "GQA": "50.0"},
    }
    first, other = ranked(board(tmp_path)).rows
    assert [cell.best for cell in first[1:3]] == [True, False]
    assert not other[2].best, "a partial number is nothing to be better than"
    assert "tiny (a), partial and not ranked: GQA 10 of 100." in board(tmp_path).notes
    assert "tiny (a), partial and not shown beside a fuller one: POPE 10 of 100." in board(tmp_path).sources


def test_of_partial_numbers_the_largest_is_shown(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": real("pope", 70.0, n=10, data="ten")}, limit=10)
    add("b", {"pope": real("pope", 75.0, n=50, data="fifty")}, limit=50)
    add("c", {"pope": real("pope", 75.0, n=50, data="fifty"), "gqa": 60.0}, limit=50)
    assert shown(tmp_path) == {"tiny": {"POPE": "75.0 (partial)", "GQA": "60.0"}}
    assert "Measured: tiny (c, b)." in board(tmp_path).sources


def test_a_partial_number_of_another_source_has_a_row(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0})
    add("b", {"pope": real("pope", 70.0, n=10, data="b", source="folder/pope")}, limit=10)
    assert shown(tmp_path) == {"tiny (data of a)": {"POPE": "80.0"}, "tiny (data of b)": {"POPE": "70.0 (partial)"}}


def test_models_without_a_full_number_come_last(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": real("pope", 70.0, n=10)}, label="part", limit=10)
    add("b", {"pope": 80.0})
    assert list(shown(tmp_path)) == ["tiny", "part"]


def test_full_numbers_that_contradict_each_other_are_named(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0})
    add("b", {"pope": 80.5})
    assert shown(tmp_path) == {"tiny": {"POPE": "80.0"}}
    assert "tiny: POPE is 80 in a (shown) and 80.5 in b on the same terms." in board(tmp_path).notes


def test_the_benchmark_gap_is_over_the_joined_row(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0})
    add("b", {"geneval": 0.5})
    assert shown(tmp_path)["tiny"]["Benchmark gap"] == "0.100"  # (80 - 50) / 50 - 0.5
    add("c", {"pope": real("pope", 90.0, protocol="lmms-eval")}, protocol="lmms-eval")
    add("d", {"homologous-u": real("homologous-u", 0.6, protocol="lmms-eval")}, protocol="lmms-eval")
    found = shown(tmp_path)
    assert found["tiny (official protocol)"]["Benchmark gap"] == "0.100"
    assert found["tiny (lmms-eval protocol)"] == {"POPE": "90.0", "U": "0.600", "Benchmark gap": "0.300"}
    assert any("their benchmark gap takes the rest from the first" in note for note in board(tmp_path).notes)


def test_a_row_that_adds_no_benchmark_has_no_benchmark_gap(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0, "geneval": 0.5})
    add("b", {"homologous-u": real("homologous-u", 0.6, protocol="lmms-eval")}, protocol="lmms-eval")
    assert shown(tmp_path)["tiny (lmms-eval protocol)"] == {"U": "0.600"}


def test_the_benchmark_gap_leaves_partial_numbers_out_where_it_can(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0, "geneval": 0.5, "gqa": real("gqa", 100.0, n=10)})
    assert shown(tmp_path)["tiny"]["Benchmark gap"] == "0.100"
    add("b", {"gqa": 100.0, "geneval": real("geneval", 0.5, n=10)}, label="part")
    assert shown(tmp_path)["part"]["Benchmark gap"] == "0.500 (partial)"


def test_a_limited_gap_never_displaces_full_sides(tmp_path: Path, add: Any) -> None:
    add("a", {"homologous-u": 0.6})
    add(
        "b",
        {"homologous-u": real("homologous-u", 0.9, n=10), "homologous-g": real("homologous-g", 0.4, n=10)},
        gap=gap(0.9, 0.4),
    )
    assert shown(tmp_path) == {"tiny": {"U": "0.600", "G": "0.400 (partial)", "Gap (U - G)": "0.500 (partial)"}}


def test_deltas_are_between_equal_terms_alone(tmp_path: Path, add: Any) -> None:
    add("a", {"pope": 80.0, "gqa": real("gqa", 60.0, n=10)})
    add("b", {"pope": 82.0, "gqa": real("gqa", 65.0, n=10), "mme": 1200.0}, label="other")
    add("c", {"pope": real("pope", 99.0, n=10)}, label="part")
    found = differences(board(tmp_path), None)
    assert found
    assert [[spell(cell, column) for cell, column in zip(row, found.columns, strict=True)] for row in found.rows] == [
        ["other", "+2.0 [+0.6, +3.4]", "-", "+5.0 [+3.6, +6.4]"],
        ["part", "n/c", "-", "-"],
    ]
    assert "n/c, not comparable: POPE of part, a partial number." in found.notes


def test_answers_from_files_are_told_apart_by_their_run(tmp_path: Path, add: Any) -> None:
    for name in ("files-1", "files-2"):
        add(name, {"pope": 80.0}, model=model().model_copy(update={"fingerprint": name}))
    assert set(shown(tmp_path)) == {"tiny (files-1)", "tiny (files-2)"}
