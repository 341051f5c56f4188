"""Whatever is wrong with what a person types or points at: one line that says what to do, exit code 2, no traceback."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import place, results

from hermes.harness.system.errors import HermesError

Command = Callable[..., Any]
EVAL = ("eval", "--model", "theirs", "--tasks", "theirs", "--device", "cpu")
ROW = {"id": 0, "item": 0, "question": "Is it red?", "answer": "yes", "image": "red.png"}


def refuse(command: Command, arguments: Sequence[object], *said: str) -> None:
    """The command ends with one line on stderr that holds all that must be said."""
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("hermes: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert [text for text in said if text not in err] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "nobody"), ["unknown model 'nobody'", "hermes-tiny", "theirs"]),
        (("--tasks", "theirs,popes"), ["unknown evaluator 'popes'", "pope", "theirs-drawing"]),
        (("--tasks", "theirs@steps=many"), ["'theirs@steps=many'"]),
        (("--tasks", "theirs@stepz=4"), ["'stepz=4'", "steps"]),
        (("--protocol", "lenient"), ["'lenient'", "official, strict"]),
        (("--judge", "nobody"), ["unknown judge 'nobody'", "oracle", "theirs-judge"]),
        (("--split", "training"), ["'--split': 'training'"]),
        (("--data", "no/such/folder"), ["no/such/folder does not exist"]),
        (("--device", "abacus"), ["unknown device 'abacus'"]),
        (("--device", "cuda:99"), ["no device 'cuda:99'"]),
        (
            ("--config", "no.toml"),
            ["no.toml does not exist and is not a recipe", "one-base", "show-o@readme"],
        ),
        (("--config", "no/such.toml"), ["no/such.toml cannot be read"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_word(command: Command, arguments: Sequence[str], said: list[str]) -> None:
    refuse(command, [*EVAL, *arguments], *said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("batchsize = 3", ["unknown key 'batchsize'", "batch_size", "protocol"]),
        ("[eval]\nlimit = 3", ["unknown key 'eval'"]),
        ("limit = 'three'", ["limit = 'three'"]),
        ("limit = ", ["is not valid TOML"]),
    ],
)
def test_a_bad_config_file(command: Command, tmp_path: Path, content: str, said: list[str]) -> None:
    (tmp_path / "eval.toml").write_text(content)
    refuse(command, [*EVAL, "--config", "eval.toml"], "eval.toml", *said)


def write_rows(folder: Path, rows: Sequence[Any]) -> None:
    Image.new("RGB", (4, 4), "red").save(folder / "red.png")
    (folder / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_row_without_a_column(command: Command, tmp_path: Path) -> None:
    write_rows(tmp_path, [ROW, {key: value for key, value in ROW.items() if key != "question"}])
    refuse(command, [*EVAL, "--data", tmp_path], "theirs", "row 2", "'question'")


def test_a_doubled_id(command: Command, tmp_path: Path) -> None:
    write_rows(tmp_path, [ROW, ROW])
    refuse(command, [*EVAL, "--data", tmp_path], "the id '0' stands in two rows")


def test_a_line_that_is_no_row(command: Command, tmp_path: Path) -> None:
    write_rows(tmp_path, [ROW, 7])
    refuse(command, [*EVAL, "--data", tmp_path], "theirs.jsonl", "row 2")


@pytest.mark.parametrize("content", [b"no picture", None])
def test_an_image_that_does_not_decode(command: Command, tmp_path: Path, content: bytes | None) -> None:
    write_rows(tmp_path, [ROW, {**ROW, "id": 1, "image": "blue.png"}])
    if content is not None:
        (tmp_path / "blue.png").write_bytes(content)
    refuse(command, [*EVAL, "--data", tmp_path], "theirs 1", "does not decode")


def test_a_table_that_is_none(command: Command, tmp_path: Path) -> None:
    (tmp_path / "theirs.parquet").write_bytes(b"no table")
    refuse(command, [*EVAL, "--data", tmp_path], "theirs.parquet cannot be read")


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Path:
    assert command(*EVAL, "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


def test_a_run_folder_of_another_model(command: Command, run: Path) -> None:
    other = ("eval", "--model", "null", "--tasks", "theirs", "--device", "cpu", "--out", run)
    refuse(command, other, "holds another run", "model.", "'theirs", "'null", "--fresh")


def test_a_run_folder_of_another_run(command: Command, run: Path) -> None:
    refuse(command, [*EVAL, "--out", run, "--seed", 1], "seed 0 there, 1 here", "--fresh")


def test_a_folder_of_something_else(command: Command, tmp_path: Path) -> None:
    write_rows(tmp_path, [ROW])
    refuse(command, [*EVAL, "--out", tmp_path], "holds no spec.json")
    refuse(command, [*EVAL, "--out", tmp_path / "red.png"], "cannot be written to")


def test_an_unreadable_run_folder(command: Command, run: Path) -> None:
    (run / "spec.json").write_text("{")
    refuse(command, ["score", run], "spec.json", "run hermes eval again")
    refuse(command, [*EVAL, "--out", run, "--seed", 1], "spec.json is damaged", "give another --out")
    before = results(run)
    assert command(*EVAL, "--out", run).code == 0
    assert command("score", run).code == 0
    assert results(run) == before
    (run / "spec.json").unlink()
    refuse(command, [*EVAL, "--out", run], "holds no spec.json")
    refuse(command, ["score", run], "spec.json cannot be read")


def test_a_broken_line_in_a_run_folder(command: Command, run: Path) -> None:
    before = results(run)
    with (place(run, "theirs") / "responses.0.jsonl").open("r+b") as file:
        file.write(b"{}")
    refuse(command, ["score", run, "--protocol", "strict"], "1 answers to theirs are missing or damaged", "hermes eval")
    code, out, err = command(*EVAL, "--out", run)
    assert (code, err.count("damaged")) == (0, 1)
    assert "responses.0.jsonl line 1" in err
    assert "answers: 1 asked, 23 reused" in out
    assert results(run) == before
    assert command("score", run, "--protocol", "strict").code == 0


def test_scoring_what_is_not_there(command: Command, run: Path, tmp_path: Path) -> None:
    refuse(command, ["score", tmp_path / "nowhere"], "nowhere")
    refuse(command, ["score", run, "--protocol", "lenient"], "'lenient'", "official, strict")


def test_listing_what_is_not_there(command: Command) -> None:
    refuse(
        command,
        ["list", "datasets"],
        "unknown kind 'datasets'",
        "models, evaluators, judges, objectives, sides, recipes",
    )


def test_an_error_with_many_lines_is_said_in_one(
    command: Command, plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise HermesError("first\n  second")

    monkeypatch.setattr("hermes.harness.run.runner.model_class", broken)
    refuse(command, EVAL, "first second")
