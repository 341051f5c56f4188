"""A file of one's own questions through the command line: columns, scores worked by hand, and rows that are refused."""

import ast
import base64
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.contracts import plugins
from hermes.harness.system import registry
from hermes.leaderboards.read import score_files

Command = Callable[..., Any]
Row = dict[str, Any]
PLUGIN = """
from hermes.harness.contracts.model import Model

class Parrot(Model):
    "Says what stands between say( and ) in the prompt, and counts what it was asked."
    abilities = ("understanding",)
    uses_torch = False

    def understand(self, requests):
        with open("asked", "a") as file:
            file.writelines(f"{len(request.images)} {request.prompt!r}\\n" for request in requests)
        return [request.prompt.partition("say(")[2].partition(")say")[0] for request in requests]

class Teacher:
    "Says yes where the given answer begins like the right one; notes what it was shown."
    identity = "teacher-1"
    abilities = ("answer",)
    description = "compares first letters"
    needs_model = False

    @classmethod
    def load(cls, argument, device):
        return cls()

    def answer(self, images, questions):
        with open("judged", "a") as file:
            file.writelines(f"{image.size} {question!r}\\n" for image, question in zip(images, questions))
        return [self.verdict(question) for question in questions]

    def verdict(self, question):
        lines = question.splitlines()
        right, given = (line.partition(": ")[2].lower() for line in lines if " answer: " in line)
        return "perhaps" if given == "hm" else "Yes." if right[0] == given[0] else "no"
"""


def say(reply: str, question: str = "What is it?") -> str:
    return f"{question} say({reply})say"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run, with the plugin and four pictures; a.png and b.png lie beside the file, others in images/."""
    monkeypatch.setattr(registry, "_of_files", {})
    monkeypatch.setattr(plugins, "_digests", {})
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("a.png", "b.png", "images/c.png", "images/d.png")):
        Image.new("RGB", (8 + number, 8), (60 * number, 0, 0)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def evaluate(command: Command, folder: Path) -> Command:
    """`evaluate(*arguments)`: an evaluation of the parrot; its results.json, or what was said where it has none."""

    def run(*arguments: object) -> Any:
        said = command("eval", "-q", "--model", "parrot", "--plugin", "plugin.py", "--device", "cpu", *arguments)
        if said.code:
            return said
        path = Path(said.out.partition("results: ")[2].partition("\n")[0])
        return json.loads(path.read_text()) | {"folder": path.parent}

    return run


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def values(results: Mapping[str, Any], task: str) -> dict[str, tuple[float, str]]:
    """What each sample of a task got, and whether it could be read."""
    lines = score_files(results["folder"])[task].read_text().splitlines()
    scores = map(json.loads, lines)
    return {score["sample_id"]: (score["values"]["correct"], score["status"]) for score in scores}


def metrics(results: Mapping[str, Any], task: str) -> dict[str, float]:
    return {name: round(metric["value"], 6) for name, metric in results["results"][task]["metrics"].items()}


COLORS = ["red", "dark blue", "green"]
# reply, right answer or answers, choices, and what exact matching makes of it: right 1, wrong 0, unparsed None.
BY_HAND: list[tuple[str, Any, list[str] | None, int | None]] = [
    ("A dog.", "dog", None, 1),
    ("The answer is: Dog", "the dog", None, 1),
    ("a dog and a cat", "dog", None, 0),
    ("three", 3, None, 1),
    ("3.0", 3, None, 1),
    ("-3", 3, None, 0),
    ("1,250", 1250, None, 1),
    ("−0.50", -0.5, None, 1),
    ("1,2", 12, None, 0),
    ("3.5 cm", 3.5, None, 0),
    ("car", ["automobile", "car"], None, 1),
    ("+", "+", None, 1),
    ("-", "+", None, 0),
    ("", "dog", None, None),
    ("Yes, it is.", "yes", None, 1),
    ("Yes, it is.", False, None, 0),
    ("It might be.", "no", None, None),
    ("<think>red, no</think>B", "dark blue", COLORS, 1),
    ("(b) dark blue", "B", COLORS, 1),
    ("Dark blue.", "b", COLORS, 1),
    ("C", "dark blue", COLORS, 0),
    ("B. red", "dark blue", COLORS, None),
    ("blue", "dark blue", COLORS, None),
    ("green", ["A", "C"], COLORS, 1),
]


def test_scores_worked_by_hand(evaluate: Command, folder: Path) -> None:
    write(
        folder / "my.jsonl",
        [
            {"id": f"q{number}", "image": "a.png", "question": say(reply), "answer": gold, "category": kind}
            | ({"choices": choices} if choices else {})
            for number, (reply, gold, choices, _) in enumerate(BY_HAND)
            for kind in ["choice" if choices else "free"]
        ],
    )
    results = evaluate("--task-file", "my.jsonl")
    status = {1: (1.0, "scored"), 0: (0.0, "scored"), None: (0.0, "unparsed")}
    assert values(results, "file:my") == {f"q{number}": status[row[3]] for number, row in enumerate(BY_HAND)}
    assert metrics(results, "file:my") == {
        "accuracy": round(100 * 13 / 24, 6),
        "category/choice": round(100 * 4 / 7, 6),
        "category/free": round(100 * 9 / 17, 6),
    }
    result = results["results"]["file:my"]
    assert (result["protocol"], result["judge"], results["partial"]) == ("exact", None, False)
    assert result["counts"]["unparsed"] == sum(row[3] is None for row in BY_HAND)


def test_contained_answers(evaluate: Command, folder: Path) -> None:
    said = {
        "a": ("There is a big dog here.", "dog", 1.0),
        "b": ("dogs", "dog", 0.0),
        "c": ("It costs 1,000 dollars", "1000", 1.0),
        "d": ("between -3 and 4", "3", 0.0),
        "e": ("two red dogs", ["a red dog", "red dogs"], 1.0),
        "f": ("red big dogs", "red dogs", 0.0),
    }
    rows = [
        {"id": name, "image": "a.png", "question": say(text), "answer": gold} for name, (text, gold, _) in said.items()
    ]
    write(
        folder / "my.jsonl",
        [*rows, {"id": "g", "image": "a.png", "question": say("B"), "answer": "y", "A": "x", "B": "y"}],
    )
    results = evaluate("--task-file", "my.jsonl:contains")
    found = {name: value for name, (value, _) in values(results, "file:my:contains").items()}
    assert found == {name: right for name, (_, _, right) in said.items()} | {"g": 1.0}
    assert results["results"]["file:my:contains"]["protocol"] == "contains"


def test_the_model_is_shown_images_question_choices_and_instruction(evaluate: Command, folder: Path) -> None:
    given = "Is it?\nAnswer the question using a single word or phrase."
    write(
        folder / "my.jsonl",
        [
            {"images": ["a.png", "b.png"], "prompt": "Same?", "answers": ["yes"], "hint": "Look twice."},
            {"image_path": "c.png", "text": given, "label": "yes"},
            {
                "image_1": "a.png",
                "image_2": "images/d.png",
                "question": "Which?",
                "answer": "y",
                "options": "['x', 'y']",
            },
        ],
    )
    evaluate("--task-file", "my.jsonl")
    short = "\nAnswer the question using a single word or phrase."
    asked = [line.partition(" ") for line in (folder / "asked").read_text().splitlines()]
    assert [(int(images), ast.literal_eval(prompt)) for images, _, prompt in asked] == [
        (2, "Look twice.\nSame?" + short),
        (1, given),
        (2, "Which?\nA. x\nB. y\nAnswer with the option's letter from the given choices directly."),
    ]
    (folder / "asked").unlink()
    evaluate("--task-file", "my.jsonl:contains", "--limit", 1)
    assert (folder / "asked").read_text() == "2 'Look twice.\\nSame?'\n"


def test_a_judge_compares_the_answer_with_the_right_one(evaluate: Command, command: Command, folder: Path) -> None:
    replies = {"a": "doggy", "b": "cat", "c": "hm", "d": ""}
    rows = [
        {"id": name, "image": "b.png", "question": say(text, "Animal?"), "answer": "Dog"}
        for name, text in replies.items()
    ]
    choice = {"id": "e", "image": "b.png", "question": say("A"), "answer": "x", "A": "x", "B": "y"}
    write(folder / "my.jsonl", [*rows, choice])
    assert "needs a judge that can answer; give one with --judge" in evaluate("--task-file", "my.jsonl:judge").err
    results = evaluate("--task-file", "my.jsonl:judge", "--judge", "teacher")
    assert values(results, "file:my:judge") == {
        "a": (1.0, "scored"),
        "b": (0.0, "scored"),
        "c": (0.0, "unparsed"),
        "d": (0.0, "unparsed"),
        "e": (1.0, "scored"),
    }
    result = results["results"]["file:my:judge"]
    assert (result["protocol"], result["judge"][:9], result["counts"]["error"]) == ("judge", "teacher-1", 0)
    judged = (folder / "judged").read_text().splitlines()
    assert judged[0] == "(64, 64) " + repr(
        "Question: Animal? say(doggy)say\nRight answer: Dog\nGiven answer: doggy\n"
        "Does the given answer mean the same as the right answer? Answer yes or no."
    )
    assert len(judged) == 3  # neither the empty reply nor the multiple choice
    again = evaluate("--task-file", "my.jsonl:judge", "--judge", "teacher")
    assert again == results
    assert len((folder / "judged").read_text().splitlines()) == 3
    said = command("score", results["folder"], "--protocol", "contains", "-q")
    assert (said.code, "20.0" in said.out) == (0, True)
    other = evaluate("--task-file", "my.jsonl:judge", "--judge", "oracle")
    assert "judge 'oracle' knows nothing of" in other.err


def test_all_bad_rows_are_listed_before_anything_is_asked(evaluate: Command, command: Command, folder: Path) -> None:
    good = {"image": "a.png", "question": "What?", "answer": "x"}
    write(
        folder / "my.jsonl",
        [
            good,
            {"image": "z.png", "question": "What?", "answer": ""},
            {"question": "What?", "answer": "?"},
            good | {"question": None},
            good | {"choices": ["y", "z"]},
            good | {"A": "x", "C": "z"},
            good | {"answer": {"is": "x"}},
            good | {"choices": "x or y"},
        ],
    )
    with (folder / "my.jsonl").open("a") as file:
        file.write("{broken\n")
    said = evaluate("--task-file", "my.jsonl")
    lines = said.err.splitlines()
    assert (said.code, said.out) == (2, "")
    assert lines[:7] == [
        "my.jsonl: row 2: the image z.png is not there; no answer (it has image, question, answer)",
        "my.jsonl: row 3: no image; the answer is hidden ('?') (it has question, answer)",
        "my.jsonl: row 4: no question (it has image, question, answer)",
        "my.jsonl: row 5: the answer 'x' is none of the choices, nor the letter of one "
        "(it has image, question, answer, choices)",
        "my.jsonl: row 6: no option B (it has image, question, answer, A, C)",
        "my.jsonl: row 7: the answer is a dict, not text, a number or a list of these (it has image, question, answer)",
        "my.jsonl: row 8: the choices are no list (it has image, question, answer, choices)",
    ]
    assert lines[7].startswith("my.jsonl: row 9 is not valid JSON")
    assert lines[8:] == ["hermes: my.jsonl: 8 of 9 rows cannot be used; fix them, nothing was asked"]
    assert not (folder / "asked").exists()
    checked = command("data", "check", "file:my", "--data", "my.jsonl", "--json", "-q")
    (problem,) = json.loads(checked.out)["problems"]
    assert (checked.code, problem["count"], list(problem["examples"])) == (1, 8, lines[:8])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"img": "a.png", "question": "What?", "answer": "x"}, "none of 2 rows can be used: no image (it has img,"),
        (
            {"prompt": "a dog", "questions": [{"question": "Is it a dog?", "answer": "yes"}]},
            "row 1 has questions about a picture that is to be drawn; such rows are homologous items: give --tasks "
            "homologous-g --data my.jsonl --judge NAME",
        ),
    ],
)
def test_a_file_of_another_kind_is_one_line(evaluate: Command, folder: Path, row: Row, said: str) -> None:
    write(folder / "my.jsonl", [row, row])
    result = evaluate("--task-file", "my.jsonl")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert said in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task-file", "none.jsonl"], "none.jsonl does not exist"),
        (["--task-file", "my.jsonl:fuzzy"], "scored by exact, contains, judge, not by 'fuzzy'"),
        (["--task-file", "images"], "images is a folder; give the file of rows in it"),
        (["--task-file", "my.txt"], "rows are read from .jsonl"),
        (["--task-file", "my.jsonl", "--task-file", "images/my.csv"], "would both be the task 'file:my'; rename one"),
    ],
)
def test_a_wrong_file_is_one_line(evaluate: Command, folder: Path, arguments: list[str], said: str) -> None:
    write(folder / "my.jsonl", [{"image": "a.png", "question": "What?", "answer": "x"}])
    result = evaluate(*arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert said in result.err


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def tables(folder: Path) -> dict[str, Path]:
    """The same three questions in every kind of file."""
    import pandas

    rows = [
        {"id": name, "image": image, "question": say(reply), "answer": "dark blue", "A": "red", "B": "dark blue"}
        for name, image, reply in (("1", "a.png", "B"), ("2", "b.png", "A"), ("3", "c.png", "dark blue"))
    ]
    frame = pandas.DataFrame(rows)
    found = {suffix: folder / f"{suffix}.{suffix}" for suffix in ("jsonl", "csv", "json", "xlsx", "parquet", "tsv")}
    write(found["jsonl"], rows)
    frame.to_csv(found["csv"], index=False)
    found["json"].write_text(json.dumps(rows))
    frame.to_excel(found["xlsx"], index=False)
    pictures = [folder / "a.png", folder / "b.png", folder / "images/c.png"]
    embedded = [{"bytes": picture.read_bytes(), "path": None} for picture in pictures]
    frame.assign(image=embedded).to_parquet(found["parquet"])
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["index", "image", "question", "answer", "A", "B"])
    for row, picture in zip(rows, pictures, strict=True):  # as VLMEvalKit writes it
        cell = "1" if row["id"] == "3" else encoded(picture)  # the picture of the row with index 1
        writer.writerow([row["id"], cell, row["question"], "B", row["A"], row["B"]])
    found["tsv"].write_text(text.getvalue())
    return found


def test_every_kind_of_file_reads_the_same(evaluate: Command, folder: Path) -> None:
    files = tables(folder)
    arguments = [argument for path in files.values() for argument in ("--task-file", path.name)]
    results = evaluate(*arguments)
    assert sorted(results["results"]) == sorted(f"file:{suffix}" for suffix in files)
    assert results["results"]["file:tsv"]["metrics"]["accuracy"]["groups"] == 2
    for task in results["results"]:
        assert values(results, task) == {"1": (1.0, "scored"), "2": (0.0, "scored"), "3": (1.0, "scored")}


def test_the_run_is_known_by_content_not_by_place(evaluate: Command, folder: Path) -> None:
    rows = [{"image": "a.png", "question": say("x"), "answer": "x"}]
    write(folder / "my.jsonl", rows)
    here = evaluate("--task-file", "my.jsonl")
    (folder / "there").mkdir()
    (folder / "a.png").rename(folder / "there" / "a.png")
    moved = write(folder / "there" / "my.jsonl", rows)
    assert evaluate("--task-file", moved) == here
    write(moved, [rows[0] | {"answer": "y"}])
    assert evaluate("--task-file", moved)["run_id"] != here["run_id"]


def test_own_files_stand_beside_benchmarks_and_take_overrides(evaluate: Command, folder: Path) -> None:
    write(folder / "my.jsonl", [{"image": "a.png", "question": say("x"), "answer": "x"}])
    write(folder / "other.jsonl", [{"image": "a.png", "question": say("x"), "answer": "y"}])
    files = ("--task-file", "my.jsonl", "--task-file", "other.jsonl")
    results = evaluate(*files, "--tasks", "pope,file:my@max_new_tokens=8", "--data", "shapes", "--limit", 1)
    assert list(results["results"]) == ["pope", "file:my@max_new_tokens=8", "file:other"]
    assert metrics(results, "file:my@max_new_tokens=8") == {"accuracy": 100.0}
    assert metrics(results, "file:other") == {"accuracy": 0.0}


def test_stored_answers_are_scored_without_pictures(command: Command, folder: Path) -> None:
    write(
        folder / "my.jsonl",
        [{"id": "p", "question": "What?", "answer": "dog"}, {"id": "q", "question": "?", "answer": "cat"}],
    )
    write(folder / "said.jsonl", [{"id": "p", "response": "A dog."}, {"id": "q", "response": "a big cat"}])
    arguments = ("score", "-q", "--data", "my.jsonl", "--responses", "said.jsonl", "--json", "--task")
    judge = ("--judge", "teacher", "--plugin", "plugin.py")
    asked = (["file:my"], ["file:my:contains"], ["file:my:judge", *judge])
    found = [json.loads(command(*arguments, *task).out) for task in asked]
    assert [result["metrics"]["accuracy"]["value"] for result in found] == [50.0, 100.0, 0.0]
    assert [result["metrics"]["accuracy"]["groups"] for result in found] == [2, 2, 2]


def test_reports_and_leaderboards_show_the_file(evaluate: Command, command: Command, folder: Path) -> None:
    write(folder / "my.jsonl", [{"image": "a.png", "question": say("x"), "answer": "x", "category": "odd"}])
    results = evaluate("--task-file", "my.jsonl")
    report = (results["folder"] / "report.md").read_text()
    assert "category/odd" in report
    assert "file:my" in command("leaderboard", "runs").out
