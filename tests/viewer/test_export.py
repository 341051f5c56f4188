"""A run as a table: every answer is there, in every format, and what is missing is said in one line."""

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import pytest
from stored import answers, content, scores

from hermes.harness.run.rescoring import rescore
from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.harness.system.progress import Silent
from hermes.viewer.entries import COLUMNS
from hermes.viewer.export import export

READ: dict[str, Callable[[Path], pandas.DataFrame]] = {
    "parquet": pandas.read_parquet,
    "csv": lambda path: pandas.read_csv(path, keep_default_na=False, dtype={"id": str}),
    "jsonl": lambda path: pandas.read_json(path, lines=True, dtype={"id": str}),
}


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("kind", sorted(READ))
def test_every_answer_is_a_row_in_every_format(run: Path, tmp_path: Path, kind: str) -> None:
    path, count = export(run, kind, tmp_path / f"out.{kind}", Silent())
    table = READ[kind](path)
    results = content(run)["results"]
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == count == sum(result["n"] + result["counts"]["error"] for result in results.values())
    for task in results:
        part = table[table["task"] == task]
        marks = scores(run, task)
        assert list(part["id"]) == [score.sample_id for score in marks]
        assert [json.loads(text) for text in part["values"]] == [score.values for score in marks]
    asked = table[table["task"] == "pope"].iloc[0]
    assert asked["answer"] == answers(run, "pope")[asked["id"], 0].text
    assert asked["gold"] in ("yes", "no")
    pictures: Any = json.loads(asked["pictures"]) if kind == "csv" else asked["pictures"]
    assert Path(pictures[0].partition("#")[0]).is_file()
    drawn = table[table["task"] == "homologous-g"].iloc[0]
    assert Path(drawn["drawn"]).is_file()
    assert json.loads(drawn["judgement"])["answers"]


def test_inspect_ai_reads_its_logs(run: Path, tmp_path: Path) -> None:
    logs = pytest.importorskip("inspect_ai.log")
    export(run, "inspect", tmp_path / "logs", Silent())
    results = content(run)["results"]
    read = partial(logs.read_eval_log, resolve_attachments=True)
    found = {log.eval.task: log for log in map(read, logs.list_eval_logs(str(tmp_path / "logs")))}
    assert found.keys() == results.keys()
    for task, log in found.items():
        result, (told,) = results[task], log.results.scores
        assert told.metrics[result["headline"]].value == result["metrics"][result["headline"]]["value"]
        marks = {(score.sample_id, score.index + 1): score.values for score in scores(run, task)}
        told_of = {
            (one.id, one.epoch): {name: score.value for name, score in one.scores.items()} for one in log.samples
        }
        assert told_of == marks
    asked, drawn = found["pope"].samples[0], found["homologous-g"].samples[0]
    assert [part.type for part in asked.input[0].content] == ["image", "text"]
    assert drawn.messages[1].content[0].image.startswith("data:image/png;base64,")


def test_inspect_without_the_extra_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hermes-bench\[inspect\]'"):
        export(run, "inspect", None, Silent())


def test_all_runs_of_a_folder_are_exported(runs: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, run.parent / "copy")
    one, all_ = (export(source, "csv", tmp_path / "out.csv", Silent())[1] for source in (run, runs))
    assert all_ == 2 * one


def test_a_run_scored_by_two_protocols_has_rows_of_each(runs: Path, run: Path, tmp_path: Path) -> None:
    rescore(run, "lmms-eval")
    path, _ = export(runs, "csv", tmp_path / "out.csv", Silent())
    found = READ["csv"](path)
    asked = found[found["task"] == "pope"]
    assert not asked.duplicated(["protocol", "id", "index"]).any()
    assert dict(asked["protocol"].value_counts()) == dict.fromkeys(("official", "lmms-eval"), len(asked) // 2)


def test_what_was_not_stored_is_told(runs: Path, run: Path, tmp_path: Path) -> None:
    for folder in runs.glob("answers/*/*/samples"):
        shutil.rmtree(folder)
    told = Told()
    export(run, "jsonl", tmp_path / "out.jsonl", told)
    assert told.lines == [
        "prompts, right answers and pictures were not stored; hermes eval with the same options does it"
    ]


def test_what_cannot_be_exported_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="unknown format 'xml'; choose from parquet, csv, jsonl, inspect"):
        export(run, "xml", None, Silent())
    with pytest.raises(HermesError, match="holds no run; give the folder of a run"):
        export(tmp_path / "runs" / "answers", "csv", None, Silent())


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "inspect"])
def test_without_answers_nothing_is_written(runs: Path, run: Path, tmp_path: Path, kind: str) -> None:
    if kind == "inspect":
        pytest.importorskip("inspect_ai.log")
    for path in runs.glob("answers/*/*/*/*.jsonl"):
        path.unlink()
    for path in runs.glob("answers/*/*/*.jsonl"):
        path.write_bytes(b"")
    kept, new = tmp_path / "keep", tmp_path / "new"
    kept.write_text("kept")
    for out in (kept, new):
        with pytest.raises(HermesError, match="has no answers yet; run hermes eval first"):
            export(run, kind, out, Silent())
    assert kept.read_text() == "kept"
    assert not new.exists()
    assert not list(tmp_path.glob(".*.part"))


def test_the_command_names_the_file(command: Callable[..., Any], made: Path, tmp_path: Path) -> None:
    said = command("export", made, "--format", "csv", "-q")
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("written: runs.csv, ")
    assert (tmp_path / "runs.csv").is_file()
