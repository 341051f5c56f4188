"""GQA: exact match under three protocols, the balanced rows, and the twin."""

import string
from collections import Counter

import pytest
from asked import PICTURE, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.gqa import GQA, read
from hermes.harness.errors import HermesError


def row(answer, number=0, balanced=True, **columns):
    return {
        "id": f"{number}",
        "imageId": "n1",
        "question": "What color is it?",
        "answer": answer,
        "fullAnswer": f"It is {answer}.",
        "isBalanced": balanced,
        "image": PICTURE,
        **columns,
    }


@pytest.mark.parametrize(
    ("protocol", "correct", "accuracy"),
    [
        ("official", "official_correct_raw", "official_on_raw_predictions"),
        ("llava", "official_correct_after_llava_conversion", "official_after_llava_conversion"),
    ],
)
def test_agrees_with_the_official_script(protocol, correct, accuracy):
    data = golden("gqa")
    cases, expected = data["cases"], data["aggregates"][accuracy]
    rows = [case | {"id": case["question_id"], "fullAnswer": "", "image": PICTURE} for case in cases]
    scores, metrics = scored(GQA(), rows, [case["prediction"] for case in cases], protocol)
    for case, score in zip(cases, scores, strict=True):
        assert score.values["correct"] == case["expected"][correct]
        if protocol == "llava":
            assert score.prediction == case["expected"]["llava_converted_prediction"]
    assert [round(metrics[name], 2) for name in ("accuracy", "binary", "open")] == [
        expected[name] for name in ("Accuracy", "Binary", "Open")
    ]
    for kind in ("structural", "semantic"):
        for name, value in expected[f"Accuracy / {kind} type"].items():
            assert round(metrics[f"{kind}/{name}"], 2) == value["acc"]


def test_agrees_with_lmms_eval():
    data = golden("gqa")
    cases = data["cases"]
    rows = [case | {"id": case["question_id"], "fullAnswer": "", "image": PICTURE} for case in cases]
    scores, metrics = scored(GQA(), rows, [case["prediction"] for case in cases], "lmms-eval")
    assert [score.values["correct"] for score in scores] == [case["expected"]["lmms_exact_match"] for case in cases]
    assert metrics["accuracy"] == pytest.approx(100 * data["aggregates"]["lmms_exact_match_mean_all_rows"])


@pytest.mark.parametrize(
    ("reply", "right_under"),
    [
        ("red", {"official", "llava", "lmms-eval"}),
        ("Red", {"llava", "lmms-eval"}),
        ("red..", {"llava", "lmms-eval"}),
        ("red!", {"lmms-eval"}),
        (" red ", {"lmms-eval"}),
        ("the red", set()),
    ],
)
def test_what_counts_as_the_same(reply, right_under):
    right = {p for p in GQA.protocols if scored(GQA(), [row("red")], [reply], p)[1]["accuracy"] == 100}
    assert right == right_under


@given(st.text())
def test_readings_are_what_they_say(reply):
    assert read(reply, "official") == reply
    assert not read(reply, "llava").endswith(".")
    assert not set(read(reply, "lmms-eval")) & set(string.punctuation)


def test_unbalanced_rows_count_only_in_lmms_eval():
    rows = [row("red", 1), row("red", 2, balanced=False)]
    assert scored(GQA(), rows, ["red", "blue"], "official")[1]["accuracy"] == 100
    assert scored(GQA(), rows, ["red", "blue"], "lmms-eval")[1]["accuracy"] == 50
    assert scored(GQA(), rows[1:], ["red"], "official")[1] == {}


def test_rows_without_types_and_empty_answers():
    (score,), metrics = scored(GQA(), [row("red")], [" "], "official")
    assert metrics == {"accuracy": 0}
    assert score.status == "unparsed"


def test_the_prompt():
    (sample,) = GQA().samples([row("red", 5)])
    assert sample.prompt == "What color is it?\nAnswer the question using a single word or phrase."
    assert (sample.id, sample.group_id) == ("5", "n1")


def test_a_row_without_an_answer_is_named():
    with pytest.raises(HermesError, match="gqa question 5"):
        list(GQA().samples([row(None, 5)]))


def test_the_twin():
    made = assert_fit_twin(GQA())
    structural = Counter(one["types"]["structural"] for one in made)
    assert structural["query"] == len(made) / 2
    assert set(structural) == {"query", "verify", "logical", "choose", "compare"}
    assert {one["types"]["semantic"] for one in made} == {"obj", "attr", "cat", "rel", "global"}
    verdicts = Counter(one["answer"] for one in made if one["answer"] in ("yes", "no"))
    assert min(verdicts.values()) > 0.4 * verdicts.total()
    assert all(one["answer"] in one["fullAnswer"].lower() for one in made)
    for protocol in GQA.protocols:
        assert scored(GQA(), made, [one["answer"] for one in made], protocol)[1]["accuracy"] == 100
