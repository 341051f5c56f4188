"""Homologous items: the same questions both ways, the reading of answers, and the twin under the oracle."""

import pytest
from asked import PICTURE, scored
from hypothesis import given
from hypothesis import strategies as st
from judged import BLANK, assert_fit_generation_twin, score_images, score_judgements

from hermes.evaluators.base import SHORT_ANSWER
from hermes.evaluators.homologous import Generation, Understanding, normalised
from hermes.harness.errors import HermesError
from hermes.harness.gap import homologous_gap


def item(name, *pairs):
    questions = [{"question": f"{name} {k}?", "answer": answer, "kind": kind} for k, (answer, kind) in enumerate(pairs)]
    return {"id": name, "image": PICTURE, "caption": f"a picture of {name}", "questions": questions}


ROWS = [item("a", ("yes", "exists"), ("red", "color")), item("b", ("2", "count"))]


@pytest.mark.parametrize(
    ("reply", "read"),
    [("Yes.", "yes"), (" The red circle\n", "red circle"), ("two", "2"), ("top-left", "top left"), ("...", "")],
)
def test_how_answers_are_read(reply, read):
    assert normalised(reply) == read


@given(st.text())
def test_reading_twice_changes_nothing(reply):
    assert normalised(normalised(reply)) == normalised(reply)


def test_both_sides_ask_the_same_of_the_same_items():
    asked, drawn = list(Understanding().samples(ROWS)), list(Generation().samples(ROWS))
    assert [sample.prompt for sample in asked] == [f"{q}{SHORT_ANSWER}" for q in ("a 0?", "a 1?", "b 0?")]
    assert [sample.group_id for sample in asked] == ["a", "a", "b"]
    assert [(sample.id, sample.group_id, sample.prompt) for sample in drawn] == [
        ("a", "a", "a picture of a"),
        ("b", "b", "a picture of b"),
    ]
    assert [sample.target for sample in asked] == [qa["answer"] for sample in drawn for qa in sample.target]


def test_items_weigh_alike_and_the_gap_pairs_them():
    u_scores, u = scored(Understanding(), ROWS, ["Yes", "blue", "two"], "official")
    g_scores, g = score_judgements(Generation(), ROWS, {"a": [{"answers": ["no", "red"]}], "b": [{"answers": ["3"]}]})
    assert u["accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert g["accuracy"] == pytest.approx((0.5 + 0) / 2)
    assert {name: u[name] for name in g if name != "accuracy"} == {"kind/color": 0, "kind/count": 1, "kind/exists": 1}
    assert {name: g[name] for name in u if name != "accuracy"} == {"kind/color": 1, "kind/count": 0, "kind/exists": 0}
    gap = homologous_gap(u_scores, g_scores)
    assert gap is not None
    assert gap["gap"].value == pytest.approx(0.5)
    assert gap["items"] == 2


def test_answers_without_a_word_are_unparsed_and_wrong():
    scores, metrics = scored(Understanding(), ROWS, ["yes", "...", "2"], "official")
    assert [score.status for score in scores] == ["scored", "unparsed", "scored"]
    assert metrics["accuracy"] == pytest.approx(0.75)
    scores, metrics = score_judgements(Generation(), ROWS, {"a": [{"answers": ["", ""]}], "b": [{"answers": ["2"]}]})
    assert [score.status for score in scores] == ["unparsed", "scored"]
    assert metrics["accuracy"] == pytest.approx(0.5)


def test_the_twins_are_fit_and_hold_the_same_rows():
    rows = assert_fit_generation_twin(Generation())
    assert Understanding().shapes_rows("test", 0) == rows
    asked = list(Understanding().samples(rows))
    assert len(asked) == len({sample.id for sample in asked}) == Understanding.data.shapes_n
    assert asked[0].images[0].open().size == (48, 48)


def test_true_pictures_score_one_and_blank_ones_little():
    rows = Generation().shapes_rows("test", 0)
    pictures = {row["id"]: row["image"] for row in rows}
    scores, metrics = score_images(Generation(), rows, lambda sample: pictures[sample.id])
    assert set(metrics.values()) == {1.0}
    assert {score.status for score in scores} == {"scored"}
    _, blank = score_images(Generation(), rows, lambda sample: BLANK)
    assert blank["accuracy"] < 0.2


@pytest.mark.parametrize("broken", ["yes", [], [{"question": "Is it?"}], ["Is it?"]])
@pytest.mark.parametrize("side", [Understanding, Generation])
def test_a_broken_row_is_named(side, broken):
    with pytest.raises(HermesError, match="homologous item a"):
        list(side().samples([item("a") | {"questions": broken}]))
