"""What was cut or reasoned is counted: in results.json, in the table, in report.md and in leaderboards."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content, place

import hermes
from hermes.harness.contracts.model import Drew, Model, Said
from hermes.harness.records.types import Request
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.leaderboards.report import report_markdown

ROWS = [
    {"id": str(k), "question_id": str(k), "question": "Is it red?", "answer": "yes", "image_source": f"i{k}"}
    | {"image": "p.png", "category": "random"}
    for k in range(4)
]
SAID = ["<think>No. It is...</think> Yes", "yes", "so</think>yes", "<note>no?</note>yes"]


class Cut(Model):
    """Answers at length, reads little."""

    world = "shapes"

    def understand(self, requests: Sequence[Request]) -> list[str]:
        return [Said("yes, of course, because", truncated=k % 2 == 0, prompt_cut=k == 1) for k in range(len(requests))]

    def generate(self, requests: Sequence[Request]) -> list[Image.Image | Drew]:
        picture = Image.new("RGB", (48, 48))
        return [Drew(picture, prompt_cut=True) if k else picture for k in range(len(requests))]


def test_cut_answers_and_prompts_are_counted_and_shown(tmp_path: Path) -> None:
    settings = EvalSettings(tasks=("pope", "geneval"), limit=1, out=tmp_path / "run", device="cpu")
    evaluate(settings, model=Cut())
    results = content(tmp_path / "run")["results"]
    asked = results["pope"]["n"]
    assert results["pope"]["counts"]["truncated"] == (asked + 1) // 2
    assert results["pope"]["counts"]["prompt_cut"] == 1
    drawn = results["geneval"]["n"]
    assert results["geneval"]["counts"] == {"scored": drawn, "unparsed": 0, "error": 0, "prompt_cut": drawn - 1}
    clause = f"GenEval: {drawn - 1} of {drawn} prompts were cut before the model read them."
    assert clause in report_markdown(tmp_path / "run")
    shown = hermes.leaderboard([tmp_path / "run"])
    assert clause in shown
    assert f"POPE: {(asked + 1) // 2} of {asked} answers were cut off at the limit of new tokens." in shown


def test_stored_cuts_are_those_of_the_model_that_is_replayed(tmp_path: Path) -> None:
    settings = EvalSettings(tasks=("geneval",), limit=1, out=tmp_path / "run", device="cpu")
    before = evaluate(settings, model=Cut())["results"]["geneval"].counts
    again = hermes.evaluate(
        f"replay:{tmp_path / 'run'}", tasks=("geneval",), data="shapes", limit=1, out=tmp_path / "again", device="cpu"
    )
    assert again["results"]["geneval"].counts == before
    assert before["prompt_cut"]


def test_nothing_is_added_where_nothing_was_cut(tmp_path: Path) -> None:
    found = hermes.evaluate("null", tasks=("pope",), limit=1, out=tmp_path / "run", device="cpu")
    assert set(found["results"]["pope"].counts) == {"scored", "unparsed", "error"}


@pytest.fixture
def folder(tmp_path: Path, command: Callable[..., Any]) -> Path:
    """Rows of POPE and answers with reasoning, in the folder in which the commands run."""
    (tmp_path / "pope.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    answers = "".join(json.dumps({"id": str(k), "response": text}) + "\n" for k, text in enumerate(SAID))
    (tmp_path / "answers.jsonl").write_text(answers)
    (tmp_path / "asked.jsonl").write_text(answers.replace('"id": "', '"id": "random/'))
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "accuracy", "counts", "clause"),
    [
        (("--protocol", "lmms-eval"), 75, {"reasoned": 2, "stripped": 2}, "taken away before they were scored"),
        ((), 100, {"reasoned": 2}, "the official protocol scores as part of the answer"),
        (
            ("--protocol", "lmms-eval", "--reasoning-tags", '[["<note>", "</note>"]]'),
            50,
            {"reasoned": 1, "stripped": 1},
            "1 of 4 answers hold reasoning",
        ),
        (("--protocol", "lmms-eval", "--reasoning-tags", "none"), 25, {}, ""),
    ],
)
def test_reasoning_is_taken_away_where_the_protocol_does_it(
    options: tuple[str, ...], accuracy: float, counts: dict[str, int], clause: str, folder: Path, command: Any
) -> None:
    score = ("score", "--task", "pope", "--data", "pope.jsonl", "--responses", "answers.jsonl", *options)
    said = command(*score, "--out", folder / "run")
    assert said.code == 0, said.err
    assert clause in " ".join(said.out.split())
    result = content(folder / "run")["results"]["pope"]
    assert result["metrics"]["accuracy"]["value"] == accuracy
    assert {name: result["counts"][name] for name in counts} == counts
    assert set(result["counts"]) == {"scored", "unparsed", "error", *counts}
    stored = (place(folder / "run", "pope") / "responses.0.jsonl").read_text()
    assert "<think>No. It is...</think> Yes" in stored


@pytest.mark.parametrize(
    ("ended", "counts", "clause"),
    [
        (1, {"reasoned": 2, "stripped": 1}, "taken away from 1 before they were scored; the others never end it"),
        (0, {"reasoned": 2}, "the lmms-eval protocol scores as part of the answer"),
    ],
)
def test_reasoning_that_never_ends_is_not_said_to_be_taken_away(
    ended: int, counts: dict[str, int], clause: str, folder: Path, command: Any
) -> None:
    said = ["<think>Yes</think>no"] * ended + ["<think>Yes, it"] * (2 - ended)
    (folder / "two.jsonl").write_text(
        "".join(json.dumps({"id": str(k), "response": x}) + "\n" for k, x in enumerate(said))
    )
    score = ("score", "--task", "pope", "--data", "pope.jsonl", "--responses", "two.jsonl", "--protocol", "lmms-eval")
    assert clause in " ".join(command(*score, "--out", folder / "run").out.split())
    found = content(folder / "run")["results"]["pope"]["counts"]
    assert {name: found[name] for name in found.keys() - {"scored", "unparsed", "error"}} == counts


def test_tags_are_part_of_what_a_run_is(folder: Path, command: Any) -> None:
    run = ("eval", "--model", "replay:asked.jsonl", "--tasks", "pope", "--data", "pope.jsonl", "--quiet")
    for more in ((), ("--reasoning-tags", "none")):
        said = command(*run, "--protocol", "lmms-eval", "--runs", "runs", *more)
        assert said.code == 0, said.err
    found = [json.loads(path.read_text()) for path in sorted(Path("runs").glob("replay/*/results.json"))]
    assert sorted(each["results"]["pope"]["metrics"]["accuracy"]["value"] for each in found) == [25, 75]
    said = command(*run, "--reasoning-tags", "think")
    assert said.code == 2
    assert "--reasoning-tags must be pairs of tags as JSON" in said.err


def test_a_yes_man_is_named(tmp_path: Path) -> None:
    found = hermes.evaluate("null", tasks=("pope", "homologous-u"), limit=20, out=tmp_path / "run", device="cpu")
    metrics = found["results"]["homologous-u"].metrics
    assert metrics["yes_said"].value == 1
    assert 0.3 < metrics["yes_gold"].value < 0.8
    report = (tmp_path / "run" / "report.md").read_text()
    assert "POPE: 100% of the yes/no questions were answered with yes, which is right for" in report
