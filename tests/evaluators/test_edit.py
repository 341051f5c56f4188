"""Editing in the drawn world: the oracle, what comes back as it was, and models that cannot."""

import json

import pytest
from asked import twin_rows
from judged import BLANK, assert_fit_generation_twin, score_images, score_judgements

import hermes
from hermes.evaluators.edit import Edit
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Request
from hermes.harness.run.plan import plan_tasks
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import AskError, HermesError
from hermes.shapes import captions
from hermes.shapes.changes import KINDS, read_change
from hermes.shapes.parse import parse
from hermes.shapes.words import Phrase

ROW = {
    "id": "a",
    "image": BLANK,
    "instruction": "make the red circle blue",
    "questions": [
        {"question": "Is there a blue circle in the image?", "answer": "yes", "kind": "changed"},
        {"question": "Is there a red circle in the image?", "answer": "no", "kind": "changed"},
        {"question": "How many objects are in the image?", "answer": "1", "kind": "kept"},
    ],
}


def test_the_twin_fits():
    rows = assert_fit_generation_twin(Edit())
    assert {row["category"] for row in rows} == set(KINDS)
    assert {qa["kind"] for row in rows for qa in row["questions"]} == {"changed", "kept"}


def test_a_picture_that_comes_back_as_it_was_keeps_everything_and_does_nothing():
    rows = twin_rows(Edit())
    _, metrics = score_images(Edit(), rows, lambda sample: sample.images[0].open())
    assert metrics["done"] == 0
    assert metrics["kept"] > 0.7
    assert set(metrics) == {"done", "changed", "kept", *(f"category/{kind}" for kind in KINDS)}


def test_both_sorts_of_questions_must_be_answered_for_a_change_to_be_done():
    said = [["yes", "no", "1"], ["yes", "no", "2"], ["no", "yes", "1"], ["yes", "perhaps", "1"]]
    rows = [{**ROW, "id": str(number)} for number in range(len(said))]
    scores, metrics = score_judgements(Edit(), rows, {str(k): [{"answers": one}] for k, one in enumerate(said)})
    assert [score.values for score in scores] == [
        {"done": 1, "changed": 1, "kept": 1},
        {"done": 0, "changed": 1, "kept": 0},
        {"done": 0, "changed": 0, "kept": 1},
        {"done": 0, "changed": 0.5, "kept": 1},
    ]
    assert [score.status for score in scores] == ["scored", "scored", "scored", "unparsed"]
    assert metrics == {"done": 0.25, "changed": 0.625, "kept": 0.75}


def test_rows_without_questions_about_the_rest_are_welcome():
    row = {**ROW, "questions": ROW["questions"][:2]}
    _, metrics = score_judgements(Edit(), [row], {"a": [{"answers": ["yes", "no"]}]})
    assert metrics == {"done": 1, "changed": 1}


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ([{**ROW["questions"][0], "kind": "color"}], "a question has the kind 'color'; it must be changed or kept"),
        (ROW["questions"][2:], "no question has the kind 'changed'"),
    ],
)
def test_rows_that_make_no_sense_are_one_line(questions, said):
    with pytest.raises(HermesError, match=said):
        list(Edit().samples([{**ROW, "questions": questions}]))


def test_a_model_that_cannot_edit_is_refused():
    class Painter:
        abilities = ("understanding", "generation")

    with pytest.raises(HermesError, match="task 'edit' needs editing, which model 'painter' does not support"):
        plan_tasks(EvalSettings(model="painter", tasks=("edit",), data="shapes"), Painter)


def test_hermes_tiny_shows_it_and_stores_what_it_drew_from(tmp_path):
    content = hermes.evaluate("hermes-tiny", tasks=("edit",), out=tmp_path / "run", device="cpu", limit=24)
    (result,) = content["results"].values()
    assert result.metrics["done"].value > 0.3
    (journal,) = tmp_path.glob("run/answers/*/edit*/responses.0.jsonl")
    stored = [json.loads(line) for line in journal.read_text().splitlines()]
    rows = {row["id"]: row for row in twin_rows(Edit())}
    for line in stored:
        told = read_change(rows[line["sample_id"]]["instruction"])
        objects = parse(rows[line["sample_id"]]["image"]).objects
        phrases = told.of([Phrase.of(obj, ("size", "color", "shape", "place")) for obj in objects])
        line["read"] = line["plan"] == captions.told(phrases)
    assert sum(line["read"] for line in stored) >= 0.8 * len(stored)


def test_an_instruction_of_another_world_is_an_error_of_its_own():
    model = TinyModel.load()
    one = {
        "index": 0,
        "config": model.info.defaults,
        "seed": 0,
        "images": (ImageHandle(twin_rows(Edit())[0]["image"]),),
    }
    with pytest.raises(AskError, match="it cannot read 'give the dog a hat'"):
        model.generate([Request(sample_id="a", prompt="give the dog a hat", **one)])
