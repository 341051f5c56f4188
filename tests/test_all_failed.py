"""Where answers fail: the command stops or says why, and the same command goes on once the cause is mended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.models.tiny.adapter import TinyModel

Command = Callable[..., Any]
POPE = ("eval", "--model", "hermes-tiny", "--tasks", "pope", "--device", "cpu", "-q")


def rows(folder: Path, names: list[str]) -> None:
    Image.new("RGB", (64, 64), "red").save(folder / "good.png")
    (folder / "bad.png").write_bytes((folder / "good.png").read_bytes()[:60])
    lines = [
        {
            "id": str(number),
            "question_id": str(number),
            "question": f"Is there a red circle in image {number}?",
            "answer": ("yes", "no")[number % 2],
            "image_source": f"i{number}",
            "image": name,
            "category": "random",
        }
        for number, name in enumerate(names)
    ]
    (folder / "pope.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_where_all_fail_the_command_says_why_and_goes_on_with_the_mended_picture(
    command: Command, tmp_path: Path
) -> None:
    rows(tmp_path, ["bad.png"] * 6)
    code, out, err = command(*POPE, "--data", ".", "--out", "run")
    assert code == 2
    assert "pope: 6 errors, such as: pope " in out
    assert err.startswith("hermes: pope: nothing could be scored, all 6 answers failed, 6 of them such as: pope ")
    assert err.count("\n") == 1
    assert "6 errors, such as" in (tmp_path / "run" / "report.md").read_text()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "bad.png")
    assert command(*POPE, "--data", ".", "--out", "run").code == 0


def test_only_the_mended_item_is_asked_again(command: Command, tmp_path: Path) -> None:
    rows(tmp_path, ["good.png"] * 5 + ["bad.png"])
    code, out, _ = command(*POPE, "--data", ".", "--out", "run")
    assert code == 0
    assert "1 error: pope" in out
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "bad.png")
    code, out, _ = command(*POPE, "--data", ".", "--out", "run")
    assert code == 0
    assert "answers: 1 asked, 5 reused" in out
    assert command(*POPE, "--data", ".", "--out", "run", "--limit", 2).code == 2  # nothing to mend: another run


@pytest.mark.parametrize("batch", [1, 64])
def test_a_model_that_only_raises_is_not_asked_for_ever(
    command: Command, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    asked: list[int] = []

    def raising(self: TinyModel, requests: Any) -> list[str]:
        asked.append(len(requests))
        raise ValueError(f"no luck with {requests[0].sample_id}")

    understand = TinyModel.understand
    monkeypatch.setattr(TinyModel, "understand", raising)
    ask = (*POPE, "--limit", 20, "--batch-size", batch, "--max-failures", 7, "--out", "run")
    code, out, err = command(*ask)
    assert (code, out) == (2, "")
    assert err.startswith("hermes: pope: 7 answers in a row failed, the first with: ValueError: no luck with ")
    assert asked.count(1) == 7
    monkeypatch.setattr(TinyModel, "understand", understand)
    assert command(*ask).code == 0


def test_every_second_failure_stops_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    understand, count = TinyModel.understand, iter(range(10_000))

    def limping(self: TinyModel, requests: Any) -> list[str]:
        if len(requests) > 1 or next(count) % 2:
            raise ValueError("x" * 1000)
        return understand(self, requests)

    monkeypatch.setattr(TinyModel, "understand", limping)
    code, out, err = command(*POPE, "--limit", 10, "--max-failures", 2, "--out", "run")
    assert (code, err) == (0, "")
    assert "pope: 30 errors, such as: ValueError:" in out
    (reason,) = json.loads(Path("run/results.json").read_text())["results"]["pope"]["failures"]
    assert len(reason) == 300


@pytest.mark.parametrize("alone", [True, False])
def test_a_judge_that_only_raises_is_given_up(
    command: Command, monkeypatch: pytest.MonkeyPatch, plugins: None, alone: bool
) -> None:
    from hermes.shapes.oracle import OracleJudge

    def raising(self: OracleJudge, *_: Any) -> Any:
        raise RuntimeError("no eyes")

    monkeypatch.setattr(OracleJudge, "detect", raising)
    draw = ("eval", "--model", "null", "--tasks", "geneval", "--device", "cpu", "-q", "--limit", 3)
    code, _, err = command(*draw, *(() if alone else ("--max-failures", 5)))
    assert code == 2
    said = "answers failed, 28 of them such as" if alone else "judge geneval: 5 judgements in a row failed"
    assert said in err
    assert "RuntimeError: no eyes" in err


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ("", "all 6 answers are empty"),
        ("yes", "all 6 answers are the same: 'yes'"),
        ("perhaps", "none of 6 answers could be read, such as: 'perhaps'"),
    ],
)
def test_answers_that_are_all_alike_are_said(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, note: str
) -> None:
    rows(tmp_path, ["good.png"] * 6)
    monkeypatch.setattr(TinyModel, "understand", lambda self, requests: [answer] * len(requests))
    code, out, _ = command(*POPE, "--data", ".", "--out", "run")
    assert code == 0
    assert f"pope: {note}" in out
    assert note in (tmp_path / "run" / "report.md").read_text()
    notes = json.loads((tmp_path / "run" / "results.json").read_text())["results"]["pope"]["notes"]
    assert any(one.startswith(note) for one in notes)


def test_pictures_that_are_all_alike_are_said_by_what_was_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hash of a picture tells a reader nothing."""
    monkeypatch.setattr(TinyModel, "generate", lambda self, requests: [Image.new("RGB", (48, 48)) for _ in requests])
    draw = ("eval", "--model", "hermes-tiny", "--tasks", "geneval", "--device", "cpu", "-q", "--limit", 2)
    code, out, err = command(*draw, "--out", "run")
    assert (code, err) == (0, "")
    assert "geneval: all 20 pictures are the same, such as the one to 00000" in out
