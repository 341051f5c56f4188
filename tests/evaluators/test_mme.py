"""MME: the two readings, the pairs, the sums, and the twin."""

from collections import Counter, defaultdict

import pytest
from asked import PICTURE, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.mme import MME, YES, read
from hermes.harness.contracts.published import MME_TASKS as TASKS
from hermes.harness.system.errors import HermesError


def rows(items):
    """Rows from (task, image, gold)."""
    return [
        {
            "question_id": image,
            "image": PICTURE,
            "question": "Is it a cat? Please answer yes or no.",
            "answer": gold,
            "category": task,
        }
        for task, image, gold in items
    ]


def paired(labels_per_task):
    return [(task, f"{k // 2}", gold) for task, labels in labels_per_task.items() for k, gold in enumerate(labels)]


def without_shares(metrics):
    """The metrics that the reference has, too."""
    return {name: value for name, value in metrics.items() if name not in YES}


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_agrees_with_the_reference_scorers(protocol, key):
    data = golden("mme")
    cases, aggregates = data["cases"], data["aggregates"]
    order = defaultdict(int)
    items = []
    for case in cases:
        items.append((case["category"], str(order[case["category"]] // 2), case["answer_gt"]))
        order[case["category"]] += 1
    scores, metrics = scored(MME(), rows(items), [case["answer"] for case in cases], protocol)
    for case, score in zip(cases, scores, strict=True):
        assert score.prediction == case["expected"][f"{key}_pred"]
        assert score.values["correct"] == case["expected"]["lmms_score" if key == "lmms" else "official_correct"]
    if key == "lmms":
        expected = aggregates["lmms"]["per_task"] | {
            "perception": aggregates["lmms"]["mme_perception_score"],
            "cognition": aggregates["lmms"]["mme_cognition_score"],
        }
    else:
        expected = aggregates["official"]["tasks"] | {
            name.lower(): value for name, value in aggregates["official"]["totals"].items()
        }
    assert without_shares(metrics) == {name: pytest.approx(value) for name, value in expected.items()}


def test_the_details_of_each_task_are_those_of_the_reference():
    data = golden("mme")
    items = [(case["category"], case["image"], case["answer_gt"]) for case in data["cases"]]
    scores, metrics = scored(MME(), rows(items), [case["answer"] for case in data["cases"]], "official")
    verdicts = {("yes", "Yes"): "TP", ("no", "Yes"): "FN", ("no", "No"): "TN", ("yes", "No"): "FP"}
    for task, expected in data["aggregates"]["official_details_per_task"].items():
        pairs = defaultdict(list)
        found = Counter()
        for score, (category, image, gold) in zip(scores, items, strict=True):
            if category == task:
                found[verdicts.get((score.prediction, gold), "other_num")] += 1
                pairs[image].append(score.values["correct"])
        assert {name: found[name] for name in ("TP", "FN", "TN", "FP", "other_num")} == {
            name: expected[name] for name in ("TP", "FN", "TN", "FP", "other_num")
        }
        assert len(pairs) == expected["n_images"]
        accuracy = sum(map(sum, pairs.values())) / (2 * len(pairs))
        both = sum(all(pair) for pair in pairs.values()) / len(pairs)
        assert (accuracy, both) == (pytest.approx(expected["acc"]), pytest.approx(expected["acc_plus"]))
        assert metrics[task] == pytest.approx(expected["score"])
        assert found["TP"] / (found["TP"] + found["FP"]) == pytest.approx(expected["precision"])
        assert found["TP"] / (found["TP"] + found["FN"]) == pytest.approx(expected["recall"])


def test_degenerate_sets_and_lines_agree():
    data = golden("mme")
    for case in data["lmms_only_multiline_answers"]:
        assert read(case["answer"], "lmms-eval") == case["lmms_pred"]
    for case in data["degenerate_sets"]:
        items = paired(case["labels_per_task"])
        replies = [case["answers_template"].replace("<gt>", gold) for _, _, gold in items]
        _, metrics = scored(MME(), rows(items), replies, "lmms-eval")
        assert metrics["perception"] == pytest.approx(case["lmms"]["mme_perception_score"])
        assert metrics["cognition"] == pytest.approx(case["lmms"]["mme_cognition_score"])
        _, metrics = scored(MME(), rows(items), replies, "official")
        for name, value in (case["official"]["totals"] | case["official"]["tasks"]).items():
            assert metrics[name if name in TASKS else name.lower()] == pytest.approx(value)


@pytest.mark.parametrize(
    ("reply", "official", "lmms"),
    [
        ("yes", "yes", "yes"),
        ("No.", "no", "no"),
        ("None of them", "no", "no"),
        ("I know", "other", "other"),
        ("A: no", "other", "other"),
        ("y", "other", "yes"),
        ("N.", "other", "no"),
        ("   yes", "other", "yes"),
        ("\nyes", "yes", "yes"),
        ("...yes", "other", "yes"),
        ("", "other", "other"),
        ("no\tthere", "no", "no"),
        ("\u00a0yes", "yes", "yes"),
        ("a.no", "no", "no"),
        ("N o", "other", "other"),
        ("YES!", "yes", "yes"),
        ("y.n", "other", "other"),
    ],
)
def test_the_readings(reply, official, lmms):
    assert read(reply, "official") == official
    assert read(reply, "lmms-eval") == lmms
    (score, _), _ = scored(MME(), rows([("OCR", "1", "Yes"), ("OCR", "1", "No")]), [reply, "no"], "official")
    assert score.status == ("unparsed" if official == "other" else "scored")


@given(st.text(), st.sampled_from(["official", "lmms-eval"]))
def test_every_reading_is_one_of_three(reply, protocol):
    said = read(reply, protocol)
    assert said in ("yes", "no", "other")
    assert said == "other" or said[0] in reply.lower()


def test_a_task_scores_questions_and_pairs():
    items = paired({"count": ["Yes", "No", "Yes", "No"]})
    _, metrics = scored(MME(), rows(items), ["yes", "no", "yes", "yes"], "official")
    assert metrics["count"] == pytest.approx(100 * (3 / 4 + 1 / 2))


def test_half_an_image_does_not_count_and_partial_sums_are_projected():
    items = [("count", "1", "Yes"), ("count", "1", "No"), ("count", "2", "Yes"), ("color", "3", "No")]
    _, metrics = scored(MME(), rows(items), ["yes", "no", "no", "no"], "official")
    assert without_shares(metrics) == {"perception": pytest.approx(2000), "count": pytest.approx(200)}
    assert (metrics["yes_gold"], metrics["yes_said"]) == (50, 25)
    _, metrics = scored(MME(), rows(items), ["yes", "no", "no", "no"], "lmms-eval")
    assert without_shares(metrics) == {"perception": pytest.approx(200), "count": pytest.approx(200)}


def test_a_task_of_other_answers_alone_scores_0():
    _, metrics = scored(MME(), rows(paired({"OCR": ["Yes", "No"]})), ["perhaps", ""], "official")
    assert metrics["OCR"] == 0


def test_an_unknown_task_is_named():
    with pytest.raises(HermesError, match="mme cats/1: category"):
        list(MME().samples(rows([("cats", "1", "Yes")])))


def test_guessing_gives_the_stated_chance():
    labels = {task: ["Yes", "No"] * 4 for task in TASKS}
    items = paired(labels)
    replies = [
        reply for _ in TASKS for pair in (("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no")) for reply in pair
    ]
    _, metrics = scored(MME(), rows(items), replies, "official")
    assert metrics["perception"] == pytest.approx(MME.chance)


def test_the_prompt_loses_the_request_for_yes_or_no():
    (sample,) = MME().samples(rows([("OCR", "7.png", "Yes")]))
    assert sample.prompt == "Is it a cat?\nAnswer the question using a single word or phrase."
    assert (sample.id, sample.group_id, sample.target) == ("OCR/7.png/1", "OCR/7.png", "yes")


def test_a_bad_answer_is_named():
    with pytest.raises(HermesError, match="mme OCR/7"):
        list(MME().samples(rows([("OCR", "7", "perhaps")])))


def test_the_twin():
    made = assert_fit_twin(MME())
    assert Counter(row["category"] for row in made) == dict.fromkeys(TASKS, 40)
    assert [row["category"] for row in made[:28:2]] == list(TASKS)
    pairs = defaultdict(list)
    for row in made:
        assert row["question"].endswith("? Please answer yes or no.")
        pairs[row["category"], row["question_id"]].append(row["answer"])
    assert all(sorted(pair) == ["No", "Yes"] for pair in pairs.values())
    firsts = Counter(pair[0] for pair in pairs.values())
    assert min(firsts.values()) > 0.35 * len(pairs)
