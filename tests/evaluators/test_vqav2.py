"""VQAv2: the normaliser, the count of annotators, and the twin."""

from collections import Counter

import pytest
from asked import PICTURE, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.vqa_people import accuracy
from hermes.evaluators.vqa_text import clean, normalise
from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.system.errors import HermesError


def row(answers, ids=True, **columns):
    people = [
        {"answer": one, "answer_confidence": "yes"} | ({"answer_id": k} if ids else {}) for k, one in enumerate(answers)
    ]
    return {
        "question_id": 1,
        "image_id": 2,
        "question": "What is it?",
        "question_type": "what is",
        "answer_type": "other",
        "answers": people,
        "image": PICTURE,
        **columns,
    }


def test_the_normaliser_agrees_with_the_reference():
    for case in golden("vqav2")["normalisation_cases"]:
        cleaned = clean(case["input"])
        assert cleaned == case["after_whitespace_cleanup"]
        assert normalise(cleaned) == case["official_normalised"]
        assert normalise(cleaned, "lmms-eval") == case["lmms_normalised"]


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_agrees_with_the_reference_scorers(protocol, key):
    data = golden("vqav2")
    cases, aggregates = data["cases"], data["aggregates"]
    rows = [case | {"image": PICTURE, "image_id": case["question_id"]} for case in cases]
    scores, metrics = scored(VQAv2(), rows, [case["prediction"] for case in cases], protocol)
    for case, score in zip(cases, scores, strict=True):
        assert score.prediction == case["expected"][f"{key}_prediction_compared"]
        assert score.values["accuracy"] == pytest.approx(case["expected"][f"{key}_accuracy"])
        if key == "official":
            assert round(100 * score.values["accuracy"], 2) == case["expected"]["official_accuracy_x100_rounded2"]
            people = {clean(one["answer"]) for one in case["answers"]}
            assert (len(people) > 1) == case["expected"]["official_normalisation_applied"]
    if key == "lmms":
        assert metrics["accuracy"] == pytest.approx(100 * aggregates["lmms_exact_match_mean"])
    else:
        assert metrics["accuracy"] == pytest.approx(100 * aggregates["official_mean_unrounded"])
        assert round(metrics["accuracy"], 2) == aggregates["official"]["overall"]
        for name, value in aggregates["official"]["perAnswerType"].items():
            assert round(metrics[name], 2) == value
        types = aggregates["official"]["perQuestionType"]
        assert {name: round(metrics[f"question_type/{name}"], 2) for name in types} == types
        assert set(metrics) == {
            "accuracy",
            *aggregates["official"]["perAnswerType"],
            *(f"question_type/{t}" for t in types),
        }


def test_the_role_of_ids_agrees_with_the_reference():
    for case in golden("vqav2")["no_answer_id_sets"]:
        for protocol, key in (("official", "official"), ("lmms-eval", "lmms")):
            people = [{"answer": one} for one in case["answers"]]
            (score,), _ = scored(VQAv2(), [row([]) | {"answers": people}], [case["prediction"]], protocol)
            assert score.values["accuracy"] == pytest.approx(case[f"{key}_accuracy_when_answer_dicts_have_no_id"])
        (score,), _ = scored(VQAv2(), [row(case["answers"])], [case["prediction"]], "official")
        assert score.values["accuracy"] == pytest.approx(case["official_accuracy_with_ids"])


@pytest.mark.parametrize(
    ("reply", "official"),
    [
        ("Two.", "2"),
        ("none", "0"),
        ("The dog!", "dog"),
        ("a", ""),
        ("isnt it", "isn't it"),
        ("wouldntve", "wouldntve"),
        ("wouldnt've", "wouldn't've"),
        ("Im", "im"),
        ("somebody'd", "somebodyd"),
        ("1,000", "1000"),
        ("red,white", "red white"),
        ("red, white", "red white"),
        ("dog/cat", "dog cat"),
        ("3.5.", "3.5"),
        ("it's", "it's"),
        ("." * 33, "."),
        ("3.5-4", "3.5 4"),
        ("4 - 5", "4 5"),
        ("10,000 (ten)", "10000 10"),
        ("none of the above", "0 of above"),
        ("aint'", "aint'"),
        ("THE a An", ""),
        ("deja\tvu\n", "deja vu"),
        ("caf\u00e9", "caf\u00e9"),
        ("\uff12", "\uff12"),
    ],
)
def test_normalising(reply, official):
    assert normalise(clean(reply)) == official


def test_several_commas_between_digits_join_only_in_lmms_eval():
    assert normalise("1,,000") == "1 000"
    assert normalise("1,,000", "lmms-eval") == "1000"


@given(st.text(alphabet="ab the.,!?-'5\n\tT2", max_size=40), st.sampled_from(["official", "lmms-eval"]))
def test_normalised_text_has_no_articles_capitals_or_punctuation(reply, protocol):
    words = normalise(clean(reply), protocol).split(" ")
    assert not {"a", "the"} & set(words)
    assert not any(mark in word for word in words for mark in "!?-,")
    assert "".join(words) == "".join(words).lower()


@given(st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, max_size=10), st.sampled_from(["red", "pink"]))
def test_with_ids_an_answer_of_n_people_counts_like_the_closed_form(answers, said):
    n, k = len(answers), answers.count(said)
    expected = (k * min(1, max(k - 1, 0) / 3) + (n - k) * min(1, k / 3)) / n
    assert accuracy(said, answers, range(n)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from(["Red", "red.", "blue"]), st.sampled_from(["yes", "no"])), min_size=2))
def test_others_are_told_apart_as_whole_records(people):
    records = [{"answer": answer, "answer_confidence": sure} for answer, sure in people]
    (score,), _ = scored(VQAv2(), [row([]) | {"answers": records}], ["red"], "lmms-eval")
    plain = [one | {"answer": normalise(one["answer"], "lmms-eval")} for one in records]
    others = [[other for other in plain if other != one] for one in plain]
    expected = sum(min(1, sum(other["answer"] == "red" for other in some) / 3) for some in others) / len(plain)
    assert score.values["accuracy"] == pytest.approx(expected)


def test_official_normalises_only_where_people_differ():
    alike, differing = row(["stop"] * 10), row(["stop"] * 9 + ["go"])
    for protocol, expected in (("official", [0, 1]), ("lmms-eval", [1, 1])):
        scores, _ = scored(VQAv2(), [alike, differing], ["Stop!", "Stop!"], protocol)
        assert [score.values["accuracy"] for score in scores] == expected


def test_an_empty_answer_is_unparsed():
    (score,), _ = scored(VQAv2(), [row(["red"] * 9 + ["blue"])], ["the"], "official")
    assert (score.status, score.values["accuracy"]) == ("unparsed", 0)


def test_the_prompt():
    (sample,) = VQAv2().samples([row(["red"] * 10)])
    assert sample.prompt == "What is it?\nAnswer the question using a single word or phrase."
    assert (sample.id, sample.group_id) == ("1", "2")


def test_a_row_without_answers_is_named():
    with pytest.raises(HermesError, match="vqav2 question 1"):
        list(VQAv2().samples([row([])]))


def test_the_twin():
    made = assert_fit_twin(VQAv2())
    shares = Counter(one["answer_type"] for one in made)
    assert shares["other"] > shares["yes/no"] > shares["number"] > 60
    assert all(len(one["answers"]) == 10 for one in made)
    majority = [one["multiple_choice_answer"] for one in made]
    verdicts = Counter(a for a, one in zip(majority, made, strict=True) if one["answer_type"] == "yes/no")
    assert set(verdicts) == {"yes", "no"}
    assert min(verdicts.values()) > 0.4 * verdicts.total()
    for protocol in VQAv2.protocols:
        assert scored(VQAv2(), made, majority, protocol)[1]["accuracy"] == 100
    disagreeing = sum(len({person["answer"] for person in one["answers"]}) > 1 for one in made)
    assert 0.2 * len(made) < disagreeing < 0.7 * len(made)
