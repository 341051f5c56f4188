"""Run folders of the version before, schema 1: read, or refused in one line that says how to go on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import answers, content, place, scores, store

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.leaderboards import leaderboard
from hermes.leaderboards.report import report_markdown

Command = Callable[..., Any]
TASKS = ("theirs", "theirs-drawing")
EVAL = ("eval", "--model", "theirs", "--tasks", ",".join(TASKS), "--device", "cpu")
NEW = {"key", "content"}


@pytest.fixture
def old(command: Command, tmp_path: Path) -> Path:
    """A run of their model as the version before left it: journals of two processes in a folder for each task."""
    made, folder = tmp_path / "made", tmp_path / "old"
    evaluate(EvalSettings(model="theirs", tasks=TASKS, device="cpu", out=made))
    found = content(made)
    for task in TASKS:
        (folder / task).mkdir(parents=True)
        for number, answer in enumerate(answers(made, task).values()):
            with (folder / task / f"responses.{number % 2}.jsonl").open("a") as file:
                file.write(answer.model_dump_json(exclude=NEW) + "\n")
        (folder / task / "scores.jsonl").write_text(
            "".join(score.model_dump_json() + "\n" for score in scores(made, task))
        )
        (folder / task / "result.json").write_text(json.dumps(found["results"][task]))
        if (store(made, task).media).is_dir():
            shutil.copytree(store(made, task).media, folder / "media")
    spec = json.loads((made / "spec.json").read_text())
    model = {name: spec["model"][name] for name in ("name", "revision", "fingerprint")}
    tasks = {
        name: {key: value for key, value in task.items() if key != "protocol"} | {"prompts": "0123456789abcdef"}
        for name, task in spec["tasks"].items()
    }
    (folder / "spec.json").write_text(json.dumps({"schema": 1, "model": model, "seed": 0, "tasks": tasks}))
    (folder / "results.json").write_text(json.dumps({**found, "schema": 1}))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu", "packages": {"torch": "2.5"}}))
    for name in ("report.md", "report.html"):
        (folder / name).write_text("the old report")
    shutil.rmtree(made)
    return folder


def test_leaderboards_and_reports_read_them(old: Path) -> None:
    board, found = leaderboard([old]), content(old)
    assert "| theirs |" in board
    assert found["run_id"] in board
    accuracy = found["results"]["theirs"]["metrics"]["accuracy"]["value"]
    assert f"{accuracy:.1f}" in board
    report = report_markdown(old)
    assert "packages torch" in report
    assert f"{accuracy:.1f}" in report


def test_they_stand_beside_new_runs(command: Command, old: Path) -> None:
    assert command(*EVAL, "--label", "new", "--runs", "runs").code == 0
    rows = [line.split("|")[1].strip() for line in leaderboard([old, Path("runs")]).splitlines() if line[:1] == "|"]
    assert {"new", "theirs"} <= set(rows)


@pytest.mark.parametrize("arguments", [("score", "old"), (*EVAL, "--out", "old")], ids=["score", "eval"])
def test_they_are_refused_in_one_line_that_says_how_to_go_on(
    command: Command, old: Path, arguments: tuple[str, ...]
) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file() and path.name != ".lock"}
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "(schema 1)" in err
    assert "--model replay:old" in err
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_what_the_line_says_gives_the_results_again(command: Command, old: Path) -> None:
    again = ("eval", "--model", "replay:old", "--tasks", ",".join(TASKS), "--data", "shapes", "--device", "cpu")
    assert command(*again, "--out", "new").code == 0
    assert content(Path("new"))["results"] == content(old)["results"]
    assert content(Path("new"))["gap"] == content(old)["gap"]
    code, *_ = command("score", "new", "--protocol", "strict")
    assert code == 0


def test_one_task_of_them_is_answered_from_its_folder(command: Command, old: Path) -> None:
    again = ("eval", "--model", "replay:old/theirs-drawing", "--tasks", "theirs-drawing", "--data", "shapes")
    assert command(*again, "--out", "new", "--device", "cpu").code == 0
    assert content(Path("new"))["results"]["theirs-drawing"] == content(old)["results"]["theirs-drawing"]


def test_fresh_empties_them_and_keeps_what_is_not_hermes(command: Command, old: Path) -> None:
    mine = [old / "theirs" / "notes.txt", old / "thesis.tex", old / "media" / "me.png"]
    for path in mine:
        path.write_text("years of work")
    assert command(*EVAL, "--out", "old", "--fresh").code == 0
    assert [path.read_text() for path in mine] == ["years of work"] * 3
    assert {path.name for path in old.iterdir() if path.name[0] != "."} == {
        *("spec.json", "run.json", "results.json", "environment.jsonl", "report.md", "report.html", "answers"),
        *("theirs", "thesis.tex", "media"),
    }
    assert [path.name for path in (old / "media").iterdir()] == ["me.png"]
    assert json.loads((old / "spec.json").read_text())["schema"] == 2
    assert place(old, "theirs").is_dir()
