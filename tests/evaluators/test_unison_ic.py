"""Unison's internal consistency against the results of its own program, and the flaws that are corrected."""

import pytest
from asked import golden

from hermes.evaluators.unison_ic import (
    Item,
    Question,
    corrected,
    official,
    overall,
    picture_path,
    read_table,
    yes_or_no,
)

WITHOUT = ("joint",)  # is a function of the 2 x 2 alone


def items_of(run):
    return read_table(run["rows"], run["existing_images"], run["judge_replies"].get)


def test_replies_and_paths_are_read_as_the_program_reads_them():
    cases = golden("unison_ic")
    assert {case["text"]: yes_or_no(case["text"]) for case in cases["yes_no_cases"]} == {
        case["text"]: case["expected"] for case in cases["yes_no_cases"]
    }
    assert {case["text"]: picture_path(case["text"]) for case in cases["image_path_cases"]} == {
        case["text"]: case["expected"] for case in cases["image_path_cases"]
    }
    for case in cases["overall_cases"]:
        assert overall(case["unified_scores"]) == case["expected"]


def test_every_run_of_the_program_has_its_scores():
    for run in golden("unison_ic")["runs"]:
        assert official(items_of(run)) == run["expected_official"], run["name"]
        expected = {name: value for name, value in run["expected_corrected"].items() if name not in WITHOUT}
        assert corrected(items_of(run)) == expected, run["name"]


ITEMS = [
    Item(1, (Question("a?", "Yes.", "no"), Question("b?", "yes", "ERROR: no healthy upstream")), drawn=True),
    Item(2, (Question("c?", "no", None), Question("d?", None, None)), drawn=False),
]


def test_what_failed_is_a_wrong_answer_for_the_program_and_counted_where_corrected():
    assert official(ITEMS)["scores"] == {"understanding_score": 0.5, "generation_score": 0.0, "unified_score": 0.0}
    told = corrected(ITEMS)
    assert (told["understanding"], told["generation"], told["both"]) == (0.5, 0.0, 0.0)
    assert told["question_table"] == {"p11": 0, "p10": 1, "p01": 0, "p00": 0}
    assert {name: n for name, n in told["counts"].items() if n} == {
        "judge_failed": 1,
        "understanding_failed": 1,
        "no_image": 2,
    }
    assert [entry["generation"] for entry in told["items"]] == [0.0, None]


def test_nothing_has_no_score():
    assert corrected([])["understanding"] is None
    assert overall({}) is None
    assert official([Item(1, (Question("a?", None),), drawn=True)])["stats"]["failure_reasons"] == {
        "1": "no_understanding_rows"
    }


@pytest.mark.parametrize("reply", ["know", "Noon", "yess", "", "ＹＥＳ"])
def test_a_word_that_only_holds_yes_or_no_is_neither(reply):
    assert yes_or_no(reply) == "unknown"
