"""`hermes judge check`: the figures by hand, and each of the ways in which it can be known what a judge should say."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.tifa import TIFA
from hermes.evaluators.wise import WISE
from hermes.harness.records.confusion import Confusion, Pair, kappa
from hermes.harness.records.types import Sample, Score
from hermes.shapes.draw import draw
from hermes.shapes.oracle import OracleJudge
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene

Command = Callable[..., Any]
CHECK = ("judge", "check", "--device", "cpu")
EVAL = ("eval", "--model", "hermes-tiny", "--limit", 2, "--device", "cpu")


def found(said: Any) -> dict[str, Any]:
    assert said.code == 0, said.err
    content: dict[str, Any] = json.loads(said.out)
    return content


def test_the_figures_are_those_of_the_definitions() -> None:
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    pairs = [Pair(f"{place}", *words) for words, count in table.items() for place in range(count)]
    every = Confusion.of([*pairs])
    assert every.n == 50
    assert (every.agreement.value, every.kappa) == (pytest.approx(0.7), pytest.approx(0.4))
    assert every.false_accept is not None
    assert every.false_reject is not None
    assert (every.false_accept.value, every.false_accept.n) == (pytest.approx(10 / 25), 25)
    assert (every.false_reject.value, every.false_reject.n) == (pytest.approx(5 / 25), 25)
    assert every.agreement.groups == 20
    unread = Confusion.of([Pair("a", "yes", ""), Pair("b", "yes", "yes"), Pair("c", "red", "red")])
    assert (unread.unreadable, unread.false_accept) == (1, None)
    assert unread.false_reject is not None
    assert (unread.false_reject.value, unread.false_reject.n) == (0.5, 2)


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ([("yes", "yes"), ("no", "no")], 1.0),
        ([("yes", "no"), ("no", "yes")], -1.0),
        ([("yes", "yes"), ("no", "yes")], 0.0),
        ([("yes", "yes")], None),
        ([], None),
    ],
)
def test_kappa_takes_away_what_chance_gives(pairs: list[tuple[str, str]], value: float | None) -> None:
    assert kappa(pairs) == value


def test_on_the_drawn_world_the_oracle_is_right_and_a_coin_is_not(command: Command, tmp_path: Path) -> None:
    asked = (*CHECK, "--limit", 30, "--json", "--runs", tmp_path)
    oracle = found(command(*asked, "--judge", "oracle"))
    assert (oracle["pictures"], oracle["failed"], oracle["overall"]["n"]) == (30, 0, 180)
    assert (oracle["overall"]["agreement"]["value"], oracle["overall"]["kappa"]) == (1.0, 1.0)
    assert oracle["disagreements"] == []
    coin = found(command(*asked, "--judge", "theirs-coin"))
    assert abs(coin["categories"]["exists"]["kappa"]) < 0.6
    assert coin["categories"]["exists"]["false_accept"]["value"] > 0.1
    assert coin["categories"]["color"]["agreement"]["value"] == 0.0
    assert {one["said"] for one in coin["disagreements"]} == {"yes", "no"}
    assert not list(tmp_path.rglob("results.json"))  # no row of a leaderboard
    said = command(*CHECK, "--limit", 30, "--runs", tmp_path, "--judge", "theirs-coin").out
    assert "judge theirs-coin-1 against the scenes of the drawn world" in said
    assert "30 pictures of homologous-g" in said
    assert command("leaderboard", tmp_path).code == 2


def test_nothing_is_asked_twice(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (*CHECK, "--judge", "oracle", "--json", "--runs", tmp_path)
    first = found(command(*asked, "--limit", 3))
    looks: list[int] = []
    answer = OracleJudge.answer
    monkeypatch.setattr(
        OracleJudge,
        "answer",
        lambda self, images, questions: looks.append(len(images)) or answer(self, images, questions),
    )
    assert found(command(*asked, "--limit", 3)) == first
    assert looks == []
    assert found(command(*asked, "--limit", 5))["pictures"] == 5
    assert sum(looks) == 2 * 6


def geneval_files(folder: Path, wrong: set[int]) -> Path:
    """A picture that shows its prompt for each task, and results.jsonl, which says the opposite of some."""
    lines = []
    for number, tag in enumerate(TAGS):
        rng = random.Random(number)
        metadata = geneval_prompt(tag, rng, "test")
        name = f"{number:05d}/samples/0000.png"
        (folder / name).parent.mkdir(parents=True)
        (folder / f"{number:05d}" / "metadata.jsonl").write_text(json.dumps(metadata))
        draw(geneval_scene(metadata, rng)).save(folder / name)
        verdict = {"correct": number not in wrong, "reason": "", "details": "{}"}
        told = {
            "filename": f"outputs/{name}",
            "tag": tag,
            "prompt": metadata["prompt"],
            "metadata": json.dumps(metadata),
        }
        lines.append(json.dumps(told | verdict))
    (folder.parent / "results.jsonl").write_text("\n".join(lines))
    return folder.parent / "results.jsonl"


def test_genevals_results_are_known_verdicts(command: Command, tmp_path: Path) -> None:
    results = geneval_files(tmp_path / "outputs", wrong={1, 4})
    asked = (*CHECK, "--judge", "oracle", "--known", results, "--responses", tmp_path / "outputs", "--json")
    checked = found(command(*asked))
    assert (checked["task"], checked["pictures"], checked["failed"]) == ("geneval", 6, 0)
    overall = checked["overall"]
    assert overall["agreement"]["value"] == pytest.approx(4 / 6)
    assert (overall["false_accept"]["value"], overall["false_accept"]["n"]) == (1.0, 2)
    assert (overall["false_reject"]["value"], overall["false_reject"]["n"]) == (0.0, 4)
    assert {name: part["agreement"]["value"] for name, part in checked["categories"].items()} == {
        tag: float(number not in (1, 4)) for number, tag in enumerate(TAGS)
    }
    first = checked["disagreements"][0]
    assert (first["sample"], first["known"], first["said"]) == ("00001", "no", "yes")
    assert first["picture"] == str(tmp_path / "outputs" / "00001" / "samples" / "0000.png")
    (tmp_path / "outputs" / "00003" / "samples" / "0000.png").write_bytes(b"no picture")
    assert found(command(*asked, "--task", "geneval"))["failed"] == 1


@pytest.mark.parametrize("task", ["geneval", "homologous-g", "dpg_bench"])
def test_a_judge_agrees_with_its_own_run(task: str, command: Command, tmp_path: Path) -> None:
    said = command(*EVAL, "--tasks", f"{task},homologous-g", "--judge", "oracle", "--runs", tmp_path)
    assert said.code == 0, said.err
    (run,) = (path.parent for path in tmp_path.glob("hermes-tiny/*/results.json"))
    asked = (*CHECK, "--known", run, "--task", task, "--json", "--runs", tmp_path / "other")
    checked = found(command(*asked, "--judge", "oracle"))
    assert (checked["overall"]["agreement"]["value"], checked["failed"]) == (1.0, 0)
    assert checked["pictures"] == json.loads((run / "results.json").read_text())["results"][task]["n"]
    if task == "homologous-g":
        coin = found(command(*asked, "--judge", "theirs-coin", "--limit", 2))
        assert coin["pictures"] == 2
        assert coin["overall"]["agreement"]["value"] < 1
        assert Path(coin["disagreements"][0]["picture"]).is_file()
        before = (run / "results.json").read_bytes()
        assert command(*EVAL, "--tasks", f"{task},homologous-g", "--judge", "oracle", "--runs", tmp_path).code == 0
        assert (run / "results.json").read_bytes() == before


def test_rows_of_image_question_and_answer(command: Command, tmp_path: Path) -> None:
    for name, shape in (("a.png", "circle"), ("b.png", "square")):
        metadata = {"tag": "single_object", "include": [{"class": shape, "count": 1}]}
        draw(geneval_scene(metadata, random.Random(0))).save(tmp_path / name)
    Image.new("RGB", (48, 48), "white").save(tmp_path / "c.png")
    rows = [
        {"image": "a.png", "question": "Is there a circle in the image?", "answer": "yes"},
        {"image": "a.png", "question": "How many circles are in the image?", "answer": "one", "kind": "count"},
        {"image": "b.png", "question": "Is there a circle in the image?", "answer": "Yes."},
        {"image": "b.png", "question": "How many circles are in the image?", "answer": 0, "kind": "count"},
        {"image": "c.png", "questions": [{"question": "Is there a circle in the image?", "answer": "no"}]},
    ]
    (tmp_path / "known.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = (*CHECK, "--judge", "oracle", "--known", "known.jsonl", "--json")
    checked = found(command(*asked))
    assert (checked["pictures"], checked["overall"]["n"], checked["overall"]["unreadable"]) == (3, 5, 1)
    assert checked["categories"]["count"]["agreement"]["value"] == 1.0
    wrong = [(one["sample"], one["known"], one["said"]) for one in checked["disagreements"]]
    assert wrong == [("b.png", "yes", "no"), ("c.png", "no", "")]
    assert checked["disagreements"][0]["picture"] == "b.png"
    assert "c.png/0 other: Is there a circle in the image? no, not to be read" in command(*asked[:-1]).out
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert found(command(*asked))["failed"] == 1


def test_a_verdict_is_what_was_said_of_each_question() -> None:
    asked = [{"question": "What?", "choices": ["cat", "dog"], "answer": "cat", "type": "animal"}]
    sample = Sample(id="1", group_id="1", ability="generation", prompt="a cat", target=asked)
    score = Score(sample_id="1", index=0, group_id="1", prediction=["dog"])
    assert list(TIFA().verdicts(sample, score)) == [("What?", "animal", "dog")]
    assert list(WISE().verdicts(sample, score)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "judge is missing; give --judge"),
        (("--judge", "nobody"), "unknown judge 'nobody'"),
        (("--judge", "self"), "judge 'self' is the evaluated model, and none is loaded here"),
        (("--judge", "oracle", "--task", "geneval"), "--known says what is known of the pictures"),
        (("--judge", "oracle", "--known", "none.jsonl"), "none.jsonl does not exist"),
        (("--judge", "oracle", "--known", "rows.jsonl"), "rows.jsonl: row 1: every answer must be text, not None"),
        (("--judge", "oracle", "--known", "rows.jsonl", "--task", "tifa"), "give --responses, the pictures"),
        (("--judge", "oracle", "--known", "rows.jsonl", "--responses", "."), "give --task, the benchmark"),
        (("--judge", "oracle", "--known", "."), "give a run folder"),
        (("--judge", "oracle", "--known", ".", "--responses", "."), "leave --responses and --data out"),
        (("--judge", "oracle", "--known", "strange.jsonl"), "judge 'oracle' knows nothing of 'Who is he?'"),
    ],
)
def test_what_cannot_be_is_one_line(given: tuple[str, ...], said: str, command: Command, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png", "question": "What?"}')
    (tmp_path / "strange.jsonl").write_text('{"image": "a.png", "question": "Who is he?", "answer": "Ann"}')
    ended = command(*CHECK, *given)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.strip().count("\n") == 0
