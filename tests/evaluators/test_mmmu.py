"""MMMU: the letter and open readers, the drawn letters, the prompt, and the twin."""

import ast
import math
import random
import re
from collections import Counter

import pytest
from asked import PICTURE, assert_fit_twin, golden, scored
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.mmmu import DISCIPLINES, MMMU
from hermes.evaluators.mmmu_answers import NUMBERS, normalise, open_correct, read_letter, read_open
from hermes.harness.system.errors import HermesError
from hermes.shapes.lessons import multiple_choice
from hermes.shapes.questions import ask
from hermes.shapes.scene import scenes

COLORS = ["red", "blue", "green", "yellow"]


def row(answer, options=COLORS, identity="validation_Art_Theory_1", **columns):
    return {
        "id": identity,
        "question": "Which? <image 1>",
        "options": str(options),
        "answer": answer,
        "question_type": "multiple-choice" if options else "open",
        **{f"image_{k}": PICTURE if k == 1 else None for k in range(1, 8)},
        **columns,
    }


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_agrees_with_the_reference_scorers(protocol, key):
    data = golden("mmmu")
    cases, aggregates = data["cases"], data["aggregates"]
    rows = [row(str(case["answer"]), case["options"], case["id"]) for case in cases]
    scores, metrics = scored(MMMU(), rows, [case["response"] for case in cases], protocol)
    for case, score in zip(cases, scores, strict=True):
        expected = case["expected"]
        assert score.prediction == expected[f"{key}_parsed"]
        assert score.values["correct"] == expected[f"{key}_correct"]
        if case["question_type"] == "multiple-choice":
            assert (score.status == "unparsed") == expected[f"{key}_random_fallback"]
    printed, digits = (
        (aggregates["lmms_printed"], 5) if key == "lmms" else (aggregates["official_main_eval_only_rounded3"], 3)
    )
    expected = {name.removeprefix("Overall-"): value["acc"] for name, value in printed.items()}
    expected["accuracy"] = expected.pop("Overall")
    assert {name: round(metrics[name] / 100, digits) for name in expected} == expected
    assert set(metrics) == set(expected)
    right = [score.values["correct"] for score in scores]
    lucky = {score.sample_id for score in scores if score.reason.endswith("drawn")}
    certain = [score.values["correct"] for score in scores if score.sample_id not in lucky]
    if key == "lmms":
        assert round(sum(right) / len(right), 5) == aggregates["lmms_overall_rounded5"]
        assert sum(certain) / len(certain) == pytest.approx(aggregates["lmms_overall_without_random_fallback_cases"])
    else:
        unrounded = aggregates["official_unrounded"]
        values = unrounded["per_discipline"] | {name: one["acc"] for name, one in unrounded["per_subject"].items()}
        values["accuracy"] = unrounded["overall"]
        assert metrics == {name: pytest.approx(100 * value) for name, value in values.items()}
        assert sum(certain) / len(certain) == pytest.approx(unrounded["overall_without_random_fallback_cases"])
        assert sum(certain) / len(right) == pytest.approx(unrounded["overall_random_fallback_counted_wrong"])


def test_the_helpers_agree_with_the_reference():
    for case in golden("mmmu")["helper_cases"]:
        assert [found for pattern in NUMBERS for found in re.findall(pattern, case["input"])] == case["extract_numbers"]
        assert normalise(case["input"]) == case["normalize_str"]
        assert isinstance(normalise(case["input"])[0], float) == case["check_is_number"]


@pytest.mark.parametrize(
    ("reply", "official", "lmms"),
    [
        ("B", "B", "B"),
        ("B.", "B", "B"),
        ("(B)", "B", "B"),
        ("Not (C), so (A)", "A", "A"),
        ("A or C", "C", "C"),
        ("Answer:B", None, "B"),
        ("CA", None, "A"),
        ("DB", None, "B"),
        ("It is C.The", None, "C"),
        ("See NASA and think of yellow here", "D", "A"),
        ("the answer must clearly be blue, not red", "A", "A"),
        ("blue", None, None),
        ("b", None, None),
        ("", None, None),
        ("E", None, None),
    ],
)
def test_reading_letters(reply, official, lmms):
    assert read_letter(reply, COLORS, "official") == official
    assert read_letter(reply, COLORS, "lmms-eval") == lmms


@given(st.text(alphabet="ABCD ().,:'redblu\n", max_size=30), st.sampled_from(["official", "lmms-eval"]))
def test_a_letter_is_one_of_the_options(reply, protocol):
    letter = read_letter(reply, COLORS, protocol)
    assert letter is None or letter in "ABCD"


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("The answer is 8.399", ["8.4"], True),
        ("x = -5", ["-5"], True),
        ("5", ["-5"], False),
        ("1,234 dollars", ["1234"], True),
        ("Tampa, Florida", ["Tampa"], True),
        ("not Tampa", ["Tampa"], True),
        ("tamp", ["Tampa"], False),
        ("a cat", ["a"], True),
        ("banana", ["a"], False),
        ("24/7", ["3.43", "24/7"], True),
        ("The answer is\nTampa", ["Tampa"], False),
    ],
)
def test_open_answers(reply, gold, right):
    assert open_correct(read_open(reply), gold) is right


@given(st.text())
def test_any_open_answer_is_read(reply):
    assert read_open(reply)


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_numbers_are_read_to_two_decimals(number):
    assert normalise(f" {number:,.6f} ") == [round(float(f"{number:.6f}"), 2)]


def test_letters_are_drawn_in_sample_order_from_the_protocols_seed():
    rows = [row("A", identity=f"validation_Art_{k}") for k in range(12)]
    replies = ["?" if k % 2 else "B" for k in range(12)]
    for protocol, seed in (("official", 42), ("lmms-eval", 0)):
        scores, _ = scored(MMMU(), rows, replies, protocol)
        rng = random.Random(seed)
        drawn = [rng.choice("ABCD") if k % 2 else "B" for k in range(12)]
        assert [score.prediction for score in scores] == drawn
        assert [score.status for score in scores] == ["scored", "unparsed"] * 6
    assert all("drawn" in score.reason for score in scores[1::2])


def test_answers_that_are_no_json_numbers_are_kept_as_text():
    (score,), _ = scored(MMMU(), [row("5", [])], ["1e400"], "official")
    assert score.prediction == [400.0, "inf"]
    assert not any(isinstance(value, float) and not math.isfinite(value) for value in score.prediction)


def test_the_prompts():
    choice, free = MMMU().samples([row("A"), row("8", [], "validation_Math_2")])
    assert choice.prompt == (
        "Which? <image 1>\nA. red\nB. blue\nC. green\nD. yellow\n"
        "\nAnswer with the option's letter from the given choices directly."
    )
    assert free.prompt == "Which? <image 1>\n\nAnswer the question using a single word or phrase."
    assert choice.metadata["tags"] == {"subject": "Art_Theory", "discipline": "Art and Design"}
    assert len(choice.images) == 1


def test_the_prompt_is_the_one_of_the_lessons():
    scene = next(scenes("test", 0))
    qa = ask(scene, random.Random(1), "count")
    prompt, letter = multiple_choice(qa, random.Random(2))
    question, *lines, _ = re.split(r"\n+", prompt)
    (sample,) = MMMU().samples([row(letter, [line[3:] for line in lines], question=question)])
    assert sample.prompt.replace("\n\n", "\n") == prompt.replace("\n\n", "\n")


@pytest.mark.parametrize("answer", [["8", "24/7"], "['8', '24/7']"])
def test_lists_come_as_lists_or_as_text(answer):
    (sample,) = MMMU().samples([row(answer, [])])
    assert sample.target == ["8", "24/7"]
    (sample,) = MMMU().samples([row("A", options=COLORS)])
    assert sample.choices == tuple(COLORS)
    listed = row("A") | {"options": COLORS, "answer": ["A", "B"]}
    (score,), _ = scored(MMMU(), [listed], ["(B)"], "official")
    assert score.values["correct"] == 1


@pytest.mark.parametrize(("answer", "gold"), [(8, ["8"]), ("[2, 3]", ["[2, 3]"]), ("'", ["'"]), ([8, "b"], ["8", "b"])])
def test_other_golds_are_read_as_text(answer, gold):
    (sample,) = MMMU().samples([row(answer, [])])
    assert sample.target == gold


def test_an_empty_answer_is_named():
    with pytest.raises(HermesError, match="the answer is empty"):
        list(MMMU().samples([row("")]))


def test_a_subject_outside_the_thirty_counts_in_the_whole_alone():
    rows = [row("A", identity="validation_Astrology_1"), row("A", identity="validation_Math_1")]
    assert scored(MMMU(), rows, ["A", "B"], "official")[1] == {"accuracy": 50, "Science": 0, "Math": 0}


def test_read_values_are_listed_numbers_first():
    (score,), _ = scored(MMMU(), [row("5", [])], ["is nan or 1e999, abc 7"], "official")
    assert score.prediction == [7.0, "inf", "nan or 1e999, abc 7"]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("", {""}),
        ("x = 3 = 4", {"4", 4.0} - {"4"}),
        ("so it is 3.14159", {3.14}),
        ("result 1,234,567", {1234567.0, 567.0}),
        ("x\u00b2", {"x\u00b2"}),
        ("a = 1\nb = 2", {2.0}),
        ("-0.001", {0.0}),
    ],
)
def test_reading_open_answers(reply, found):
    assert read_open(reply) == found


@pytest.mark.parametrize("options", ["red, blue", "[]", "{[]: 1}", "['red', 2]"])
def test_bad_options_are_named(options):
    with pytest.raises(HermesError, match="mmmu validation_Art_Theory_1"):
        list(MMMU().samples([row("A", question_type="multiple-choice") | {"options": options}]))


def test_thirty_subjects_in_six_disciplines():
    assert (len(DISCIPLINES), len(set(DISCIPLINES.values()))) == (30, 6)


def test_the_twin():
    made = assert_fit_twin(MMMU())
    samples = list(MMMU().samples(made))
    assert Counter(sample.metadata["tags"]["subject"] for sample in samples) == dict.fromkeys(DISCIPLINES, 10)
    kinds = Counter(one["question_type"] for one in made)
    assert 0.05 < kinds["open"] / len(made) < 0.07
    for one in made:
        if one["question_type"] == "multiple-choice":
            assert len(set(ast.literal_eval(one["options"]))) == 4
    letters = Counter(one["answer"] for one in made if one["question_type"] == "multiple-choice")
    assert set(letters) == set("ABCD")
    assert min(letters.values()) > 50
    for protocol in MMMU.protocols:
        assert scored(MMMU(), made, [one["answer"] for one in made], protocol)[1]["accuracy"] == 100
    _, always = scored(MMMU(), made, ["A"] * len(made), "official")
    assert abs(always["accuracy"] - MMMU.chance) < 6
