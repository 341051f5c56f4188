"""J and phi where users meet them: tables, LaTeX, the comparison, the report, the terminal, and rounds scored again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from made import edit, history, result, run
from played import score

from hermes.harness.records.agreement import ASKED, RIGHT, question_key
from hermes.harness.run.gap import homologous_gap
from hermes.leaderboards import compare, leaderboard
from hermes.leaderboards.agreement_table import agreement_table
from hermes.leaderboards.read import read_history, read_run
from hermes.leaderboards.self_play_tables import self_play_tables
from hermes.terminal import gap_lines

QUESTIONS = ("is it red?", "is it blue?")
# Of each item: which questions are right about the real picture, and which about the drawn one.
BEFORE = {"a": ("11", "10"), "b": ("11", "01"), "c": ("10", "11"), "d": ("00", "00")}
AFTER = {"a": ("11", "11"), "b": ("11", "11"), "c": ("10", "10"), "d": ("00", "00")}
Verdicts = Mapping[str, tuple[str, str]]


def measured(folder: Path, name: str, verdicts: Verdicts, **changes: Any) -> Path:
    """A run of both sides with these verdicts, its scores and its gap."""
    keys = [question_key(question) for question in QUESTIONS]
    answered = [
        score(f"{item}/{k}", item, float(right), **{ASKED: keys[k]})
        for item, (real, _) in verdicts.items()
        for k, right in enumerate(real)
    ]
    drawn = [
        score(item, item, made.count("1") / 2, "accuracy", **{ASKED: " ".join(keys), RIGHT: made})
        for item, (_, made) in verdicts.items()
    ]
    found = homologous_gap(answered, drawn)
    assert found is not None
    results = {"homologous-u": result("homologous-u", 0.0), "homologous-g": result("homologous-g", 0.0)}
    results["homologous-u"].metrics["accuracy"] = found["u"]
    results["homologous-g"].metrics["accuracy"] = found["g"]
    run(folder, name, results, gap={"homologous": found, "benchmarks": None, "variants": {}}, **changes)
    for task, scores in (("homologous-u", answered), ("homologous-g", drawn)):
        (folder / task).mkdir(exist_ok=True)
        (folder / task / "scores.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in scores))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> Sequence[Path]:
    return [measured(tmp_path / "before", "before", BEFORE), measured(tmp_path / "after", "after", AFTER)]


def test_the_columns_stand_beside_the_gap_and_say_what_they_are(folders: Sequence[Path]) -> None:
    lines = leaderboard(folders).splitlines()
    assert next(line for line in lines if "Gap" in line) == "| Model | Gap (U - G) | J | phi | U | G | Params |"
    assert "| 0.625 | 1.000 |" in next(line for line in lines if line.startswith("| after "))
    assert sum("J: the share of questions that are right on both sides; phi: " in line for line in lines) == 1


def test_latex_sets_them_as_symbols(folders: Sequence[Path]) -> None:
    assert r"Gap (U $-$ G) & $J$ & $\phi$ &" in leaderboard(folders, format="latex")


def test_runs_without_them_have_no_columns_and_no_note(tmp_path: Path) -> None:
    folder = measured(tmp_path / "old", "old", BEFORE)
    both = {"u": 0.6, "g": 0.4, "gap": 0.2}
    one = {name: {"value": value, "low": value, "high": value, "n": 8, "groups": 4} for name, value in both.items()}
    edit(folder / "results.json", gap={"homologous": {**one, "items": 4}, "benchmarks": None, "variants": {}})
    text = leaderboard([folder])
    assert "| phi |" not in text
    assert "J: " not in text
    assert not agreement_table(read_run(folder / "results.json")).rows


def test_a_comparison_pairs_them_by_question(folders: Sequence[Path]) -> None:
    found = compare(folders).differences.set_index("task")
    assert found.loc["joint"].difference == pytest.approx(2 / 8)
    assert bool(found.loc["joint"].paired)
    assert found.loc["phi"].difference == pytest.approx(1 - (3 * 2 - 2 * 1) / (5 * 3 * 4 * 4) ** 0.5)


def test_the_report_has_the_counts(folders: Sequence[Path]) -> None:
    table = agreement_table(read_run(folders[0] / "results.json"))
    (row,) = table.rows
    by_name = {column.title: cell.value for column, cell in zip(table.columns, row, strict=True)}
    assert [by_name[name] for name in ("Both right", "Real alone", "Drawn alone", "Neither")] == [3, 2, 1, 2]
    assert by_name["Ratio"] == pytest.approx(3 * 8 / (5 * 4))


def test_the_terminal_says_them(folders: Sequence[Path]) -> None:
    found = read_run(folders[0] / "results.json").gap.homologous
    assert found is not None
    lines = [line.plain for line in gap_lines({"homologous": dict(found)}, {})]
    assert lines[2].startswith("  J (joint success) 0.375 [")
    assert lines[3] == "  J is 1.20 times what independent sides would have"
    assert all(len(line) <= 80 for line in lines)


def test_a_round_that_is_scored_again_brings_them(tmp_path: Path) -> None:
    """history.json of an older version has neither; its rounds' results do once they are scored again."""
    play = history(tmp_path / "play", "sum", 0, [(0.6, 0.5), (0.6, 0.5)])
    assert [entry.joint for entry in read_history(play / "history.json").rounds] == [None, None]
    measured(play / "round-1" / "evaluation", "tiny, round 1", AFTER, run_id="sum01")
    found = read_history(play / "history.json")
    assert [entry.joint and entry.joint.value for entry in found.rounds] == [None, 0.625]
    assert [column.title for column in self_play_tables(found)[0].columns][3:6] == ["Gap (U - G)", "J", "phi"]
