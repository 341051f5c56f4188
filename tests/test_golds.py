"""Right answers and cells in other forms: brought to the data set's where they mean one thing, refused where not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content

Command = Callable[..., Any]
POPE = {"question": "Is it red?", "category": "random", "image": "p.png"}
GQA = {"question": "Is it red?", "answer": "yes", "fullAnswer": "Yes.", "image": "p.png"}
VQA = {"question": "What colour?", "question_type": "what", "answer_type": "other", "image": "p.png"}
MMMU = {"question": "What is it?", "options": "['red', 'blue', '3', 'c']", "question_type": "multiple-choice"}
MMMU |= {f"image_{k}": "p.png" if k == 1 else None for k in range(1, 8)}
ITEM = {"image": "p.png", "caption": "a red circle"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, command: Command) -> Path:
    """A picture in the folder in which the commands run."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "p.png")
    return tmp_path


def write(name: str, rows: list[dict[str, Any]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def pope(*labels: str) -> list[dict[str, Any]]:
    return [
        {"id": str(k), "question_id": str(k), "image_source": str(k), "answer": label, **POPE}
        for k, label in enumerate(labels)
    ]


def gqa(flags: tuple[Any, ...], **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(k), "imageId": str(k), "isBalanced": flag, **GQA, **more} for k, flag in enumerate(flags)]


def vqa(answers: Any) -> list[dict[str, Any]]:
    return [{"question_id": k, "image_id": k, "answers": answers, **VQA} for k in range(2)]


def mmmu(*golds: Any) -> list[dict[str, Any]]:
    return [{"id": f"dev_Art_{k}", "answer": gold, **MMMU} for k, gold in enumerate(golds)]


def homologous(answer: Any, options: Any) -> list[dict[str, Any]]:
    return [{"id": "a", **ITEM, "questions": [{"question": "What?", "answer": answer, "options": options}]}]


RIGHT = [
    ("pope", pope("Yes", "No", " no "), ["yes", "no", "no"]),
    ("gqa", gqa(("True", "true", "False", "0")), ["yes", "yes", "no", "no"]),
    ("gqa", gqa((True, False), types="{'structural': 'verify'}", groups='{"global": "color"}'), ["yes", "no"]),
    ("vqav2", vqa(["red"] * 10), ["red", "red"]),
    ("vqav2", vqa(str(["red"] * 10)), ["red", "red"]),
    ("mmmu", mmmu("b", "Red", "C", "(D) c", "blue."), ["B", "A", "C", "D", "B"]),
    ("mmmu", mmmu(["a", "B: blue"]), ["B"]),
    ("homologous-u", homologous("B", ["red", "blue"]), ["blue"]),
    ("homologous-u", homologous("B: blue", {"A": "red", "B": "blue"}), ["B"]),
    ("homologous-u", homologous("BLUE", ["red", "blue"]), ["Blue."]),
]


@pytest.mark.parametrize(("task", "rows", "said"), RIGHT)
def test_one_meaning_is_read_alike_by_score_eval_and_data_check(
    task: str, rows: list[dict[str, Any]], said: list[str], command: Command
) -> None:
    write("rows.jsonl", rows)
    names = [str(row.get("id", row.get("question_id"))) for row in rows]
    if task.startswith("homologous"):
        names = [f"{name}/0" for name in names]
    write("answers.jsonl", [{"id": name, "response": text} for name, text in zip(names, said, strict=True)])
    ids = {"pope": "random/{}", "mmmu": "{}"}.get(task, "{}")
    write("asked.jsonl", [{"id": ids.format(name), "response": text} for name, text in zip(names, said, strict=True)])
    scored = command("score", "--task", task, "--data", "rows.jsonl", "--responses", "answers.jsonl", "--json")
    assert scored.code == 0, scored.err
    result = json.loads(scored.out)
    best = 1 if task.startswith("homologous") else 100
    assert result["metrics"]["accuracy"]["value"] == best
    run = ("eval", "--model", "replay:asked.jsonl", "--tasks", task, "--data", "rows.jsonl", "--out", "run", "--quiet")
    evaluated = command(*run)
    assert evaluated.code == 0, evaluated.err
    assert content(Path("run"))["results"][task]["metrics"]["accuracy"]["value"] == best
    checked = command("data", "check", task, "--data", "rows.jsonl")
    assert "bad row" not in checked.out


WRONG = [
    ("pope", pope("perhaps"), "answer is 'perhaps'; it must be yes or no"),
    ("gqa", gqa(("maybe",)), "isBalanced is 'maybe', not true or false"),
    ("gqa", gqa(("True", None)), "isBalanced is 'None', not true or false"),
    ("gqa", gqa((True,), types="verify"), "types must be an object, not 'verify'"),
    ("gqa", gqa((True,), answer=""), "the answer is empty; use a split that has answers"),
    ("gqa", gqa((True,), answer="?"), "the answer is ?; use a split that has answers"),
    ("vqav2", vqa([]), "there are no answers; use a split that has them"),
    ("vqav2", vqa([""] * 10), "there are no answers; use a split that has them"),
    ("vqav2", vqa("red"), "answers must be a list, not str"),
    ("mmmu", mmmu("?"), "the answer is hidden ('?'); use a split that has answers"),
    ("mmmu", mmmu(""), "the answer is empty; use a split that has answers"),
    ("mmmu", mmmu("0"), "the answer '0' is no single option; give a letter from A to D"),
    ("mmmu", mmmu(1), "the answer '1' is no single option"),
    ("mmmu", mmmu(3), "the answer '3' is no single option"),
    ("mmmu", mmmu("c"), "the answer 'c' is no single option"),
    ("mmmu", mmmu("pink"), "the answer 'pink' is no single option"),
    ("homologous-u", homologous("pink", ["red", "blue"]), "'pink', which is none of the choices 'red', 'blue'"),
    ("homologous-u", homologous("B: red", ["red", "blue"]), "'B: red', which is none of the choices"),
    ("homologous-u", homologous("?", []), "is '?'; use a split that has answers"),
]


@pytest.mark.parametrize(("task", "rows", "why"), WRONG)
def test_what_nothing_can_match_is_refused_in_one_line(
    task: str, rows: list[dict[str, Any]], why: str, command: Command
) -> None:
    write("rows.jsonl", rows)
    write("answers.jsonl", [{"id": "0", "response": "A"}])
    for arguments in (
        ("score", "--task", task, "--data", "rows.jsonl", "--responses", "answers.jsonl"),
        ("eval", "--model", "null", "--tasks", task, "--data", "rows.jsonl", "--out", "run", "--quiet"),
    ):
        said = command(*arguments)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert why in said.err
    if not task.startswith("homologous"):  # whose files are read before there are rows
        checked = command("data", "check", task, "--data", "rows.jsonl")
        assert checked.code == 1
        assert "bad row" in checked.out


def test_an_answer_that_tifa_itself_can_never_match_is_seen(command: Command) -> None:
    question = {"question": "Is it red?", "choices": ["yes", "no"], "answer": "maybe", "element_type": "color"}
    write("tifa.jsonl", [{"id": "a", "caption": "a red circle", "questions": [question]}])
    said = command("data", "check", "tifa", "--data", "tifa.jsonl")
    assert said.code == 1
    assert "no answer is right" in said.out
