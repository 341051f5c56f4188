"""Which rows and columns are shown, in which order and with how many digits; presets; what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
from golden_runs import write
from hypothesis import given, settings
from hypothesis import strategies as st
from made import history, result, run
from rich.cells import cell_len

from hermes.harness.system.errors import HermesError
from hermes.harness.system.screen import Screen
from hermes.leaderboards import frame, frames, leaderboard, tables_of
from hermes.leaderboards.console import document
from hermes.leaderboards.tables import Cell, Column, Table, spell, text_column


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shaping"))


def labels(table: Table) -> list[str]:
    return [table.label(row) for row in table.rows]


def test_columns_are_named_by_title_or_task_and_stand_in_the_order_given(runs: Path) -> None:
    shown = tables_of(runs, columns=("mmmu", "Gap (U - G)", "POPE"))
    real = next(table for table in shown if table.title == "Real data")
    assert [column.title for column in real.columns] == ["Model", "MMMU", "Gap (U - G)", "POPE"]
    play = next(table for table in shown if table.title.startswith("Self-play"))
    assert [column.title for column in play.columns] == ["Arm", "Round", "Gap (U - G)"]


def test_rows_fit_labels_and_run_ids(runs: Path) -> None:
    (real,) = tables_of(runs, rows=("Show-o*", "real2"))[:1]
    assert labels(real) == ["Show-o_π ★", "模型 & 100%"]
    assert all(table.rows for table in tables_of(runs, rows=("tiny β",)))


def test_notes_and_sources_are_about_the_rows_and_columns_that_are_shown(runs: Path) -> None:
    text = leaderboard(runs, rows=("tiny β",))
    assert "Measured: tiny β (real0, judge oracle 1). " in text
    assert "partial" not in text
    assert "n = 10 to 100" not in text
    assert "POPE: accuracy, % (n = 100)" in leaderboard(runs, rows=("tiny β",), columns=("pope",))
    assert "MME" not in leaderboard(runs, columns=("pope",))
    assert "G: accuracy, 0..1 (n = 100)" in leaderboard(runs, columns=("gap",))


def test_notes_and_sources_of_self_plays_are_about_the_rows_that_are_shown(tmp_path: Path) -> None:
    for arm, rounds in (("a", 2), ("b", 1)):
        for seed in range(2):
            drawn = [(0.6, 0.4 + number / 10) for number in range(rounds + seed)]
            history(tmp_path / f"{arm}{seed}", "sum", seed, drawn, arm=arm, align_id=f"{arm}-{seed}")
    text = leaderboard(tmp_path, rows=("a*",))
    assert "Measured: a (a-0, a-1; 2 seeds). Judge" in text
    assert "a, round 2: of a-1 alone." in text
    assert "b" not in re.findall(r"(\w+), round", text)
    assert "alone" not in leaderboard(tmp_path, rows=("a, 1",))


def test_without_quoted_rows_nothing_is_said_of_them(runs: Path) -> None:
    for rows, is_quoted in ((("tiny β",), False), (("tiny β", "Show-o †"), True)):
        text = leaderboard(runs, table="paper-gap", published=True, rows=rows)
        assert ("quoted from HermesFlow" in text) is is_quoted


def test_rows_are_sorted_best_first_and_partial_ones_last(runs: Path) -> None:
    (real,) = tables_of(runs, sort="pope", rows=("tiny β", "Show*", "part", "模*"))[:1]
    assert labels(real) == ["模型 & 100%", "Show-o_π ★", "tiny β", "a part"]
    (real,) = tables_of(runs, sort="model")[:1]
    assert labels(real) == sorted(labels(real))


def test_a_precision_is_that_of_every_measured_number(runs: Path) -> None:
    (found,) = (
        one for one in tables_of(runs, precision=2) if one.title == "Self-play of tiny, shapes world (built in)"
    )
    row = found.rows[1]
    assert [spell(row[place], column) for place, column in enumerate(found.columns)][-2:] == ["0.72", "40"]
    text = leaderboard(runs, precision=2, columns=("gap", "mme"))
    assert "| **0.02** | 1200.00 |" in text


def test_frames_hold_numbers_by_label(runs: Path) -> None:
    found = frames(runs)["Real data"]
    assert found.loc["tiny β", "POPE"] == 80.0
    assert found["Gap (U - G)"].min() == pytest.approx(0.02)


def test_the_data_formats_hold_the_numbers_of_the_table(runs: Path) -> None:
    found = frame(runs, table="paper-geneval", rows=("tiny β",))
    assert set(found.task) == {"geneval"}
    assert list(found[found.world == "real"].metric) == [
        *("overall", "single_object", "two_object", "counting", "colors", "position", "color_attr")
    ]
    assert set(frame(runs, columns=("pope",)).task) == {"pope"}


def test_quoted_rows_stand_above_measured_ones_on_real_data_alone(runs: Path) -> None:
    shapes, real = sorted(
        tables_of(runs, table="paper-gap", published=True), key=lambda table: table.title[-9:] == "real data"
    )
    assert real.rule == 4
    assert all(label.endswith(" †") for label in labels(real)[:4])
    assert not any(cell.best for row in real.rows[:4] for cell in row)
    assert not any("†" in label for label in labels(shapes))


def test_a_preset_with_self_plays_shows_their_last_round(runs: Path) -> None:
    (table,) = tables_of(runs / "plays", table="paper-gap")
    assert [label for label in labels(table) if "round 1" in label] == []
    assert "tiny, round 2 (sum, seed 1)" in labels(table)
    assert "tiny, round 0 (sum, seed 1)" in labels(table), "nothing else was measured of that model"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "paper"}, "table 'paper' is unknown; use one of paper-understanding, .*paper-ablation"),
        ({"columns": ("nope",)}, "no column is called 'nope'; --columns takes gap, homologous-u, "),
        ({"sort": "nope"}, "no column is called 'nope'; --sort takes model, gap, "),
        ({"rows": ("nope",)}, "no row is called 'nope'; --rows fits labels and run ids: tiny β, "),
        ({"base": "nope"}, "no row is called 'nope'; --base is one of: tiny β, "),
    ],
)
def test_unknown_names_are_refused_with_those_that_there_are(runs: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(HermesError, match=message):
        leaderboard(runs, **options)


def test_a_preset_of_what_was_not_measured_says_so(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", {"pope": result("pope", 80.0)})
    with pytest.raises(HermesError, match="paper-geneval: none of geneval was measured under these paths"):
        leaderboard(tmp_path, table="paper-geneval")
    with pytest.raises(HermesError, match="paper-ablation: no self-play was measured"):
        leaderboard(tmp_path, table="paper-ablation")
    assert "HermesFlow" in leaderboard(tmp_path, table="paper-geneval", published=True)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=12), st.integers(60, 130), st.text(max_size=60))
def test_no_table_is_wider_than_its_terminal(titles: list[str], width: int, label: str) -> None:
    columns = (text_column("Model"), *(Column(title) for title in titles))
    table = Table("x", columns, ((Cell(text=label), *[Cell(1.0, low=0.5, high=1.5)] * len(titles)),))
    screen = Screen(width=width, color_system=None)
    with screen.capture() as shown:
        screen.print(document([table], True, width))
    assert max(cell_len(line) for line in shown.get().split("\n")) <= width
