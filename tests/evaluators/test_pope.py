"""POPE: the readings of the three protocols, the figures, and the twin."""

from collections import Counter, defaultdict

import pyarrow
import pytest
from asked import PICTURE, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from hermes.evaluators.pope import POPE, POPE8910, read_official
from hermes.harness.data.files import folder_rows
from hermes.harness.system.errors import HermesError

PERCENT = {"acc": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1", "yes_ratio": "yes_ratio"}


def rows(labels, categories=None, images=None):
    return [
        {
            "id": str(k),
            "question_id": str(k),
            "question": " Is there a cat in the image? ",
            "answer": label,
            "image_source": images[k] if images else f"image{k // 6}",
            "image": PICTURE,
            "category": categories[k] if categories else "random",
        }
        for k, label in enumerate(labels)
    ]


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("llava", "official"), ("lmms-eval", "lmms")])
def test_agrees_with_the_reference_scorers(protocol, key):
    data = golden("pope")
    cases, aggregates = data["cases"], data["aggregates"]
    made = rows([case["label"] for case in cases], [case["category"] for case in cases])
    scores, metrics = scored(POPE(), made, [case["answer"] for case in cases], protocol)
    for case, score in zip(cases, scores, strict=True):
        assert score.prediction == case["expected"][f"{key}_pred"]
        assert score.values["correct"] == case["expected"]["lmms_score" if key == "lmms" else "official_correct"]
    for category, expected in aggregates["per_category"].items():
        for name, ours in PERCENT.items():
            theirs = expected["official"][name] if key == "official" else expected["lmms"][LMMS[ours]]
            assert metrics[f"{category}/{ours}"] == pytest.approx(100 * theirs)
    if key == "lmms":
        assert {name: pytest.approx(100 * aggregates["lmms_all"][LMMS[name]]) for name in LMMS} == {
            name: metrics[name] for name in LMMS
        }
    else:
        assert metrics["accuracy"] == pytest.approx(100 * aggregates["official_mean_acc_over_categories"])
        assert metrics["f1"] == pytest.approx(100 * aggregates["official_mean_f1_over_categories"])


def test_counts_and_printed_lines_are_those_of_the_reference():
    data = golden("pope")
    cases, aggregates = data["cases"], data["aggregates"]
    made = rows([case["label"] for case in cases], [case["category"] for case in cases])
    scores, metrics = scored(POPE(), made, [case["answer"] for case in cases], "llava")
    assert counts(scores) == {key: aggregates["official_all"][key] for key in ("TP", "FP", "TN", "FN")}
    for category, expected in aggregates["per_category"].items():
        members = [score for score in scores if score.tags["category"] == category]
        assert len(members) == expected["n"]
        assert counts(members) == {key: expected["official"][key] for key in ("TP", "FP", "TN", "FN")}
        printed = [
            metrics[f"{category}/{name}"] / 100 for name in ("f1", "accuracy", "precision", "recall", "yes_ratio")
        ]
        line = ", ".join(f"{value:.3f}" for value in printed)
        assert line == expected["llava_eval_pope"]["rounded_line_f1_acc_prec_rec_yesratio"]
    pooled = rows([case["label"] for case in cases])
    _, metrics = scored(POPE(), pooled, [case["answer"] for case in cases], "official")
    expected = {ours: pytest.approx(100 * aggregates["official_all"][theirs]) for theirs, ours in PERCENT.items()}
    assert {name: metrics[name] for name in expected} == expected


def counts(scores):
    """Of the official readings the numbers of true and false, positives and negatives."""
    names = {(True, True): "TP", (True, False): "FP", (False, False): "TN", (False, True): "FN"}
    found = Counter(names[score.prediction == "yes", bool(score.values["positive"])] for score in scores)
    return {name: found[name] for name in names.values()}


LMMS = {
    "accuracy": "pope_accuracy",
    "precision": "pope_precision",
    "recall": "pope_recall",
    "f1": "pope_f1_score",
    "yes_ratio": "pope_yes_ratio",
}


def test_degenerate_sets_agree_and_never_raise():
    for case in golden("pope")["degenerate_sets"]:
        scores, official = scored(POPE(), rows(case["labels"]), case["answers"], "official")
        assert [score.prediction for score in scores] == case["official_preds"]
        assert counts(scores) == {key: case["official"][key] for key in ("TP", "FP", "TN", "FN")}
        for theirs, ours in PERCENT.items():
            if case["official"][theirs] is not None:
                assert official[ours] == pytest.approx(100 * case["official"][theirs]), case["name"]
        undefined = {ours for theirs, ours in PERCENT.items() if case["official"][theirs] is None}
        assert set(PERCENT.values()) - set(official) <= undefined
        _, lmms = scored(POPE(), rows(case["labels"]), case["answers"], "lmms-eval")
        for ours, theirs in LMMS.items():
            assert lmms[ours] == pytest.approx(100 * case["lmms"][theirs]), case["name"]


@pytest.mark.parametrize(
    ("reply", "said", "clear"),
    [
        ("yes", "yes", True),
        ("Yes, there is", "yes", True),
        ("No, there is not", "no", True),
        ("there is not a dog", "no", True),
        ("NO", "yes", False),
        ("", "yes", False),
        ("'no'", "yes", False),
        ("Sure. no", "yes", False),
        ("no\n", "yes", False),
        ("no,", "no", True),
        ("There is a dog in the image.", "yes", False),
    ],
)
def test_the_official_reading(reply, said, clear):
    assert read_official(reply) == (said, clear)
    (score,), _ = scored(POPE(), rows(["yes"]), [reply], "official")
    assert score.values["correct"] == (said == "yes")
    assert score.status == ("scored" if clear else "unparsed")


def test_lmms_eval_wants_the_bare_word():
    scores, _ = scored(POPE(), rows(["yes"] * 3), [" YES\n", "Yes.", "yes it is"], "lmms-eval")
    assert [score.values["correct"] for score in scores] == [1, 0, 0]
    assert [score.status for score in scores] == ["scored", "unparsed", "unparsed"]


@given(st.text())
def test_any_text_is_read_as_yes_or_no(reply):
    said, _ = read_official(reply)
    words = reply.split(".")[0].replace(",", "").split(" ")
    assert (said == "no") == any(word in ("No", "not", "no") for word in words)


def test_ratios_without_denominator_are_left_out():
    _, metrics = scored(POPE(), rows(["yes", "no"]), ["no", "no"], "official")
    assert "precision" not in metrics
    assert "f1" not in metrics
    assert metrics["recall"] == 0
    assert metrics["accuracy"] == 50


def test_a_label_in_capitals_is_positive_only_officially():
    labels, replies = ["Yes", "No"], ["Yes", "No"]
    assert scored(POPE(), rows(labels), replies, "official")[1]["accuracy"] == 50
    assert scored(POPE(), rows(labels), replies, "llava")[1]["recall"] == 50
    assert scored(POPE(), rows(labels), replies, "lmms-eval")[1]["accuracy"] == 100


def test_lmms_eval_leaves_unclear_answers_out_of_recall_and_calls_undefined_ratios_0():
    _, metrics = scored(POPE(), rows(["yes"] * 4), ["yes", "no", "perhaps", "Yes."], "lmms-eval")
    assert (metrics["recall"], metrics["accuracy"], metrics["yes_ratio"]) == (50, 25, 100)
    _, metrics = scored(POPE(), rows(["no"]), ["no"], "lmms-eval")
    assert (metrics["precision"], metrics["recall"], metrics["f1"], metrics["yes_ratio"]) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("reply", "said"),
    [("no\tdog", "yes"), ("it is not", "no"), ("n,o", "no"), ("no\u00a0dog", "yes"), ("не", "yes"), ("not.", "no")],
)
def test_the_official_reading_splits_at_plain_spaces_only(reply, said):
    assert read_official(reply)[0] == said


def test_llavas_set_is_another_benchmark_with_the_same_figures():
    made, replies = rows(["yes", "no"]), ["Yes, it is", "No"]
    assert (POPE8910.data.n, POPE8910.standard, POPE8910.protocols[0]) == (8910, False, "llava")
    assert POPE8910.data.split.split("+") == ["adversarial", "popular", "random"]
    assert scored(POPE8910(), made, replies, "llava")[1] == scored(POPE(), made, replies, "official")[1]


def test_official_averages_the_samplings_and_lmms_eval_pools():
    labels, replies = ["yes", "no", "yes", "yes"], ["yes", "no", "yes", "no"]
    made = rows(labels, ["random", "popular", "popular", "popular"])
    assert scored(POPE(), made, replies, "official")[1]["accuracy"] == pytest.approx((100 + 200 / 3) / 2)
    assert scored(POPE(), made, replies, "lmms-eval")[1]["accuracy"] == 75


def test_the_prompt():
    (sample,) = POPE().samples(rows(["yes"]))
    assert sample.prompt == "Is there a cat in the image?\nAnswer the question using a single word or phrase."
    assert (sample.id, sample.group_id) == ("random/0", "image0")


@pytest.mark.parametrize(("column", "value"), [("answer", "maybe"), ("question", None), ("image", None)])
def test_a_bad_row_is_named(column, value):
    bad = [rows(["yes"])[0] | {column: value}]
    with pytest.raises(HermesError, match="pope random/0"):
        list(POPE().samples(bad))


def test_the_twin():
    made = assert_fit_twin(POPE())
    assert Counter(row["category"] for row in made) == {"random": 300, "popular": 300, "adversarial": 300}
    images = defaultdict(list)
    for row in made:
        images[row["image_source"]].append(row)
    assert all(Counter(row["answer"] for row in six) == {"yes": 3, "no": 3} for six in images.values())
    assert all(len({row["question"] for row in six}) == 6 for six in images.values())
    first = [six[0]["category"] for six in images.values()][:6]
    assert first == ["random", "popular", "adversarial"] * 2
    shared = Counter()
    for six in images.values():
        words = {word for row in six if row["answer"] == "yes" for word in row["question"].split()[3:5]}
        for row in six:
            if row["answer"] == "no":
                shared[row["category"]] += len(words & set(row["question"].split()[3:5]))
    assert shared["adversarial"] > 1.5 * shared["random"]
    asked = {
        category: Counter(row["question"] for row in made if (row["category"], row["answer"]) == (category, "no"))
        for category in ("random", "popular")
    }
    assert len(asked["popular"]) < len(asked["random"]) / 3


def test_llavas_set_is_read_from_the_splits_of_a_downloaded_copy(tmp_path):
    (tmp_path / "Full").mkdir()
    for sampling in ("random", "popular", "adversarial"):
        made = [row | {"image": {"bytes": b"", "path": ""}} for row in rows(["yes", "no"], [sampling] * 2)]
        table = pyarrow.Table.from_pylist(made)
        parquet.write_table(table, tmp_path / "Full" / f"{sampling}-00000-of-00001.parquet")
    found = folder_rows("pope-8910", tmp_path, POPE8910.data.config, POPE8910.data.split)
    assert [row["category"] for row in found] == ["adversarial"] * 2 + ["popular"] * 2 + ["random"] * 2
