"""One row an arm, as in the paper's table: its numbers against values worked by hand, and what stands below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made import edit, metric, model
from made import result as made_result
from played import benchmark, chose, guided, play, questions, score
from test_changes import RIGHT
from test_leaderboard import rows as rows_under

from hermes.harness.records.types import Metric
from hermes.harness.system.disk import read_json
from hermes.leaderboards.arms import write_report
from hermes.leaderboards.plays import read_plays
from hermes.leaderboards.reached import from_base_table, reached, reached_from, reached_table
from hermes.leaderboards.tables import Table

NAMES = [f"{k:02}" for k in range(40)]
LABELS = ["Arm", "Round", "Seeds"]


def items(right: int) -> dict[str, Any]:
    """Forty items of which so many are drawn rightly; all are understood."""
    return {name: (RIGHT, float(k < right)) for k, name in enumerate(NAMES)}


def compute(folder: Path, *rounds: Sequence[int] | None) -> None:
    """What each round after round 0 has drawn and trained on: pictures, texts, sequences, reference passes."""
    told = read_json(folder / "history.json")["rounds"]
    for entry, counts in zip(told[1:], rounds, strict=True):
        if counts:
            entry["drawn"] = {"pictures": counts[0], "texts": counts[1]}
            entry["training"] |= {"sequences": counts[2], "references": counts[3]}
    edit(folder / "history.json", rounds=told)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """One seed of `gen`, which stands first in the file; two of `sum`, of which one has a round more."""
    first = play(tmp_path / "sum" / "0", "sum", 0, [items(20), items(24), items(30), items(36)])
    second = play(tmp_path / "sum" / "1", "sum", 1, [items(20), items(28), items(30)])
    other = play(tmp_path / "gen" / "0", "gen", 0, [items(20), items(20), items(22)])
    compute(first, (10, 20, 300, 40), (10, 20, 500, 40), (10, 20, 300, 40))
    compute(second, (10, 20, 300, 40), (10, 20, 300, 60))
    compute(other, (10, 0, 200, 20), (10, 0, 200, 20))
    return {"gen": tmp_path / "gen", "sum": tmp_path / "sum"}


def column(table: Table, name: str) -> list[Any]:
    place = [one.title for one in table.columns].index(name)
    return [row[place] for row in table.rows]


def told(folders: dict[str, Path]) -> Table:
    arms = read_plays(list(folders.values()))
    return reached_table(reached(arms), arms)


def differing(folders: dict[str, Path], base: str) -> Table:
    arms = read_plays(list(folders.values()))
    return from_base_table(reached_from(arms, base), arms, base)


def report(folders: dict[str, Path], base: str, out: Path) -> str:
    write_report(out, folders, base, {})
    return (out / "report.md").read_text()


def test_a_row_an_arm_at_the_last_round_of_all_its_seeds(folders: dict[str, Path]) -> None:
    table = told(folders)
    assert [tuple(cell.text for cell in row[:2]) for row in table.rows] == [
        ("tiny (base model)", "0"),
        ("gen", "2"),
        ("sum", "2"),
    ]
    assert [cell.value for cell in column(table, "Seeds")] == [2, 1, 2]
    assert [cell.value for cell in column(table, "G")[1:]] == [pytest.approx(0.05), pytest.approx(0.25)]
    assert [cell.value for cell in column(table, "Gap (U - G)")[1:]] == [pytest.approx(-0.05), pytest.approx(-0.25)]
    assert [cell.value for cell in column(table, "Gap closed (%)")] == [None, pytest.approx(10), pytest.approx(50)]
    assert [cell.value for cell in column(table, "U")[1:]] == [0, 0]
    assert "Paired by item over 40 items, seeds joined" in table.caption
    assert table.rule == 1


def test_what_differs_beyond_its_interval_is_bold(folders: dict[str, Path], tmp_path: Path) -> None:
    table = told(folders)
    assert [cell.best for cell in column(table, "G")] == [False, False, True]
    for cell in column(table, "G")[1:]:
        assert cell.best == (cell.low > 0)
    text = report(folders, "sum", tmp_path / "report")
    found = rows_under(text, "What each arm reaches")
    assert found[0][:6] == [*LABELS, "U", "G", "Gap (U - G)"]
    assert found[3][4].startswith("**+0.250 [+0.1")
    assert found[1][4].startswith("0.000 ±")  # the base model as it is, without a plus


def test_the_base_model_is_what_its_seeds_have_measured(folders: dict[str, Path]) -> None:
    for seed, (u, g) in enumerate(((0.9, 0.4), (0.9, 0.5))):
        path = folders["sum"] / str(seed) / "history.json"
        rounds = read_json(path)["rounds"]
        numbers = {"u": metric(u), "g": metric(g), "gap": metric(u - g), "joint": metric(0.3)}
        rounds[0] |= {name: one.model_dump() for name, one in numbers.items()}
        edit(path, rounds=rounds)
    table = told({"sum": folders["sum"]})
    base = {column.title: cell for column, cell in zip(table.columns, table.rows[0], strict=True)}
    assert base["G"].value == pytest.approx(0.45)
    assert base["G"].spread == pytest.approx(0.1 / 2**0.5)
    assert base["Joint (J)"].value == 0.3
    alone = told({"sum": folders["sum"] / "0"})
    (cell, *_) = column(alone, "G")
    assert (cell.value, cell.low, cell.spread) == (0.4, pytest.approx(0.38), None)
    # An arm that has measured it otherwise is named.
    both = told(folders)
    assert column(both, "G")[0].value == pytest.approx((0.0 + 0.5) / 2)
    assert any(note.startswith("sum has measured the base model otherwise") for note in both.notes)
    assert not any("otherwise" in note for note in alone.notes)


def test_compute_is_summed_over_rounds_and_averaged_over_seeds(folders: dict[str, Path]) -> None:
    table = told(folders)
    assert [cell.value for cell in column(table, "Pictures")] == [None, 20, 20]
    assert [cell.value for cell in column(table, "Texts")] == [None, 0, 40]
    assert [cell.value for cell in column(table, "Sequences")] == [None, 400, (800 + 600) / 2]
    assert [cell.value for cell in column(table, "Reference passes")] == [None, 40, (80 + 100) / 2]
    less = differing(folders, "sum")
    assert [cell.value for cell in column(less, "Sequences")] == [400 - 800]


def test_what_an_older_version_has_not_counted_is_said(folders: dict[str, Path]) -> None:
    path = folders["sum"] / "1" / "history.json"
    rounds = read_json(path)["rounds"]
    del rounds[2]["drawn"]
    del rounds[1]["training"]["sequences"]
    edit(path, rounds=rounds)
    table = told(folders)
    assert [cell.value for cell in column(table, "Pictures")] == [None, 20, None]
    assert [cell.value for cell in column(table, "Sequences")] == [None, 400, None]
    assert [cell.value for cell in column(table, "Reference passes")] == [None, 40, 90]
    assert "Compute that an older version has not counted: sum." in table.notes


def test_j_and_the_chosen_guidance_stand_beside_the_gap(folders: dict[str, Path]) -> None:
    home = folders["gen"] / "0"
    for number in (0, 2):
        questions(home, number, {name: [(1, int(k < 20 + 5 * number))] for k, name in enumerate(NAMES)})
    for number, (scale, right) in enumerate((("1", 30), ("2", 30), ("2", 38))):
        guided(home, number, scale, {name: float(k < right) for k, name in enumerate(NAMES)})
    chose(home, (1, 2, 2))
    table = told({"gen": folders["gen"]})
    assert column(table, "Joint (J)")[1].value == pytest.approx(0.25)
    assert column(table, "G (best guidance)")[1].value == pytest.approx(0.2)
    assert [cell.text for cell in column(table, "Guidance")] == ["1", "2 (base 1)"]
    assert any("on validation scenes" in note for note in table.notes)


def test_benchmarks_are_in_the_order_of_the_paper(folders: dict[str, Path]) -> None:
    home = folders["gen"] / "0"
    for number, right in ((0, (0, 1)), (2, (1, 1))):
        for task in ("mmmu", "pope", "vqav2", "geneval"):
            answers = [score(f"q{k}", f"q{k}", value, tag="colors") for k, value in enumerate(right)]
            benchmark(home, number, task, answers, 100 * sum(right) / 2 if task != "geneval" else 0.5)
    table = told(folders)
    assert [one.title for one in table.columns][-9:-5] == ["GenEval", "POPE", "MMMU", "VQAv2"]
    assert [cell.value for cell in column(table, "MMMU")] == [50, 50, None]
    assert any("no interval: GenEval" in note for note in table.notes)


def test_the_difference_from_the_base_arm(folders: dict[str, Path]) -> None:
    table = differing(folders, "gen")
    assert table.title == "Difference from gen"
    # Of the seeds and rounds that both have: seed 0, round 2.
    assert [(row[0].text, row[1].text, row[2].value) for row in table.rows] == [("sum", "2", 1)]
    assert column(table, "G")[0].value == pytest.approx((30 - 22) / 40)
    assert column(table, "Gap closed (%)")[0].value == pytest.approx(50 - 10)
    assert [one.signed for one in table.columns if one.title in ("Gap closed (%)", "Sequences")] == [True, True]
    turned = differing(folders, "sum")
    assert column(turned, "G")[0].value == pytest.approx(-0.2)


def test_an_arm_that_has_played_no_round_is_not_left_out(folders: dict[str, Path], tmp_path: Path) -> None:
    folders["late"] = play(tmp_path / "late", "late", 0, [items(20)])
    table = told(folders)
    assert table.rows[-1][0].text == "late"
    assert (column(table, "G")[-1].value, column(table, "Round")[-1].text) == (None, "0")
    assert "late: not all seeds have played a round." in table.notes
    assert [row[0].text for row in differing(folders, "gen").rows] == ["sum", "late"]


def test_seeds_that_nobody_shares_have_no_difference(folders: dict[str, Path], tmp_path: Path) -> None:
    folders["far"] = play(tmp_path / "far", "far", 7, [items(20), items(30)])
    table = differing(folders, "gen")
    assert [(row[0].text, row[2].value) for row in table.rows] == [("sum", 1), ("far", 0)]
    assert column(table, "G")[1].value is None


def test_each_base_model_has_a_row(folders: dict[str, Path]) -> None:
    edit(folders["gen"] / "0" / "history.json", model=model("flow").model_dump())
    table = told(folders)
    assert [row[0].text for row in table.rows] == ["flow (base model)", "tiny (base model)", "gen", "sum"]
    assert table.rule == 2
    assert "The first rows are the base models" in table.caption


def test_only_what_the_rows_hold_already_is_dropped_below(folders: dict[str, Path], tmp_path: Path) -> None:
    both = report(folders, "gen", tmp_path / "both")
    assert "### Change since round 0" in both  # round 1 stands there alone
    first = {"gen": folders["gen"], "one": play(tmp_path / "one", "one", 0, [items(20), items(21)])}
    edit(folders["gen"] / "0" / "history.json", rounds=read_json(folders["gen"] / "0" / "history.json")["rounds"][:2])
    one = report(first, "gen", tmp_path / "one-round")
    assert "### Change since round 0" not in one
    assert "### Change since the round before" in one  # it says whether the gap is smaller
    assert (
        one.index("### What each arm reaches") < one.index("### Difference from gen\n") < one.index("### Self-play of")
    )
    (tmp_path / "one-round" / "report.html").read_text().index("max-width: 120rem")


def test_a_model_of_one_side_has_no_gap(folders: dict[str, Path]) -> None:
    home = folders["gen"] / "0"
    rounds = read_json(home / "history.json")["rounds"]
    edit(
        home / "history.json",
        undefined="answers no questions",
        rounds=[one | {"u": None, "gap": None} for one in rounds],
    )
    for number in range(3):
        drawn = {"homologous-g": made_result("homologous-g", 0.5).model_dump()}
        gap = {"homologous": None, "benchmarks": None, "undefined": "answers no questions"}
        edit(home / f"round-{number}" / "evaluation" / "results.json", results=drawn, gap=gap)
        path = home / f"round-{number}" / "evaluation" / "homologous-u" / "scores.jsonl"
        path.unlink()
    table = told({"gen": folders["gen"]})
    assert [cell.text for cell in column(table, "Gap (U - G)")] == ["undefined", "undefined"]
    assert column(table, "G")[1].value == pytest.approx(0.05)
    assert isinstance(reached(read_plays([home]))[0].closed, Metric)
