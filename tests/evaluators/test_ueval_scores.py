"""UEval's scores against the results of its own program."""

from json import JSONDecodeError

import pytest
from asked import golden

from hermes.evaluators.ueval_scores import met, normalised, overall, question_type, read_reply, score_items


def verdict(replies):
    """What the program makes of a judge's replies: the first that can be read."""
    for reply in replies:
        try:
            return met(reply)
        except ValueError:
            continue
    return None


def test_replies_values_and_tasks_are_read_as_the_program_reads_them():
    cases = golden("ueval")
    for case in cases["reply_cases"]:
        if "error" in case:
            with pytest.raises(JSONDecodeError):
                read_reply(case["reply"])
            continue
        parsed = read_reply(case["reply"])
        told = (parsed, normalised(parsed.get("criteria_met")), met(case["reply"]))
        assert told == (case["parsed"], case["value"], case["met"]), case["reply"]
    for case in cases["value_cases"]:
        assert normalised(case["value"]) == case["normalised"]
        assert (normalised(case["value"]) is True) == case["met"]
    for case in cases["task_cases"]:
        assert question_type(case["task"]) == case["expected"]


def test_every_run_of_the_program_has_its_scores():
    for run in golden("ueval")["runs"]:
        replies = run["judge_replies_by_rubric"]
        told = score_items(run["items"], run["model_outputs"], lambda rubric, said=replies: verdict(said[rubric]))
        assert told == run["expected"] | {"failed": 0}
        assert overall(told["items"]) == run["expected_corrected_overall"]


def test_a_rubric_without_a_verdict_is_counted_and_in_no_rate():
    items = [{"id": "a", "task": "art", "text_rubrics": ["x", "y"], "image_rubrics": ["z"]}]
    told = score_items(items, [], {"x": True, "y": None, "z": None}.get)
    assert told["failed"] == 2
    assert told["items"][0]["text_score"] == {"met": 1, "total": 1, "rate": 1.0}
    assert told["items"][0]["image_score"]["rate"] is None
    assert not told["items"][0]["answer_found"]
    assert (told["summary"]["image_avg_rate"], overall(told["items"])) == (None, 1.0)


@pytest.mark.parametrize("reply", ["", "true", '{"criteria_met": True}', "}{"])
def test_a_reply_without_a_verdict_is_no_verdict(reply):
    with pytest.raises(JSONDecodeError):
        met(reply)
