"""GQA: exact match under three protocols, the balanced rows, and the twin."""

import string
from collections import Counter

import pytest
from asked import PICTURE, aggregated, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.gqa import GQA, read
from hermes.harness.system.errors import HermesError


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
    pairs = zip(GQA().samples(rows), scores, strict=True)
    sizes = {name: metric.n for name, metric in aggregated(GQA(), pairs, protocol).items()}
    for kind, title in (
        *(("structural", "structural type"), ("semantic", "semantic type")),
        *(("steps", "steps number"), ("words", "words number")),
    ):
        printed = {f"{kind}/{name}": value for name, value in expected[f"Accuracy / {title}"].items()}
        assert {name: {"acc": round(metrics[name], 2), "n": sizes[name]} for name in printed} == printed
        assert {name for name in metrics if name.startswith(f"{kind}/")} == set(printed)
    assert round(metrics["distribution"], 2) == expected["Distribution"]
    assert sizes["accuracy"] == data["aggregates"]["n_balanced"]


def test_agrees_with_lmms_eval():
    data = golden("gqa")
    cases = data["cases"]
    rows = [case | {"id": case["question_id"], "fullAnswer": "", "image": PICTURE} for case in cases]
    scores, metrics = scored(GQA(), rows, [case["prediction"] for case in cases], "lmms-eval")
    assert [score.values["correct"] for score in scores] == [case["expected"]["lmms_exact_match"] for case in cases]
    aggregates = data["aggregates"]
    assert len(scores) == aggregates["n_all"]
    assert metrics["accuracy"] == pytest.approx(100 * aggregates["lmms_exact_match_mean_all_rows"])
    balanced = [score.values["correct"] for score, case in zip(scores, cases, strict=True) if case["isBalanced"]]
    assert sum(balanced) / len(balanced) == pytest.approx(aggregates["lmms_exact_match_mean_balanced_rows"])


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
    for protocol, accuracy in (("official", 100), ("lmms-eval", 50)):
        scores, metrics = scored(GQA(), rows, ["red", "blue"], protocol)
        assert metrics["accuracy"] == GQA.headline_means(scores, protocol).metric().value == accuracy
    assert scored(GQA(), rows[1:], ["red"], "official")[1] == {}


def test_rows_without_types_and_empty_answers():
    (score,), metrics = scored(GQA(), [row("red")], [" "], "official")
    assert metrics == {"accuracy": 0, "words/4": 0}
    assert score.status == "unparsed"


@pytest.mark.parametrize(
    ("reply", "protocol", "said"),
    [
        ("Red...", "llava", "red"),
        ("red. ", "llava", "red. "),
        ("red.blue.", "llava", "red.blue"),
        (".", "llava", ""),
        ("\tRed\n", "lmms-eval", "red"),
        ("T-shirt's", "lmms-eval", "tshirts"),
        ("“red”", "lmms-eval", "“red”"),
        ("red\0", "lmms-eval", "red"),
        ("\u0130", "lmms-eval", "i"),
        ("Red", "official", "Red"),
    ],
)
def test_the_readings(reply, protocol, said):
    assert read(reply, protocol) == said


def test_steps_are_operations_that_do_not_merely_end_the_program():
    def program(*steps):
        return [{"operation": operation, "argument": argument} for operation, argument in steps]

    rows = [
        row("red", 1, semantic=program(("select", "cup (12)"), ("relate", "_,on,s"), ("query", "name"))),
        row("red", 2, semantic=program(("select", "cup"), ("exist", "?"))),
        row("red", 3, semantic=program(("select", "exist"), ("choose name", "a|b"), ("query", "color"))),
    ]
    _, metrics = scored(GQA(), rows, ["red", "red", "blue"], "official")
    assert {name: value for name, value in metrics.items() if name.startswith("steps/")} == {
        "steps/1": pytest.approx(50),
        "steps/2": 100,
    }


def test_distribution_is_the_chi_square_within_groups():
    rows = [row(gold, k, groups={"global": group}) for k, (gold, group) in enumerate(GROUPED)]
    _, metrics = scored(GQA(), rows, ["red", "red", "red", "cup", "dog"], "official")
    # Group color: gold red 2, blue 1, said red 3: (1/2 + 1/1) * 3; group object: gold cup 2, said cup 1: 1/2 * 2.
    assert metrics["distribution"] == pytest.approx((1.5 * 3 + 0.5 * 2) / 5 / 100)
    alone = [row("red", groups={"global": None})]
    assert "distribution" not in scored(GQA(), alone, ["red"], "official")[1]
    assert "distribution" not in scored(GQA(), rows, ["red"] * 5, "lmms-eval")[1]


GROUPED = [("red", "color"), ("red", "color"), ("blue", "color"), ("cup", "object"), ("cup", "object")]


def test_query_is_open_and_all_else_binary():
    kinds = ("query", "verify", "logical", "choose", "compare")
    rows = [row("red", k, types={"structural": kind, "semantic": "attr"}) for k, kind in enumerate(kinds)]
    _, metrics = scored(GQA(), rows, ["red", "red", "blue", "blue", "blue"], "official")
    assert (metrics["open"], metrics["binary"], metrics["semantic/attr"]) == (100, 25, 40)


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
