"""Reasoning before an answer: taken away as lmms-eval does it, and tags of one's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.contracts.reasoning import THINK, has_reasoning, read_tags, without_reasoning
from hermes.harness.system.errors import HermesError

PIECES = st.sampled_from(["<think>", "</think>", "<analysis>", "</analysis>", "yes", " no\n", "<THINK>", "think"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>No.\n</think>\n\nYes", "Yes"),
        ("No, wait.</think> Yes", "Yes"),
        ("<analysis>so</analysis>Yes<think>or no</think>", "Yes"),
        ("<think>never closed. yes", "<think>never closed. yes"),
        ("<THINK>x</THINK>yes", "<THINK>x</THINK>yes"),
        (" yes\n", "yes"),
    ],
)
def test_what_is_left(text, left):
    assert without_reasoning(text) == left


@given(st.lists(PIECES).map("".join))
def test_equals_lmms_eval(text):
    theirs = pytest.importorskip("lmms_eval.api.reasoning")
    assert without_reasoning(text) == theirs.strip_reasoning_tags(text, [list(pair) for pair in THINK])


def test_it_is_seen_by_any_of_its_tags():
    assert [has_reasoning(text) for text in ("<think>", "a</analysis>b", "thinking", "")] == [True, True, False, False]
    assert not has_reasoning("<think>x</think>", ())


def test_tags_of_ones_own():
    tags = read_tags('[["<reason>", "</reason>"]]')
    assert without_reasoning("<reason>x</reason>yes", tags) == "yes"
    assert (read_tags(None), read_tags("none")) == (THINK, ())


@pytest.mark.parametrize("option", ["", "think", "[1]", '["<think>", "</think>"]', '[["", "x"]]', "{}x", '[["a"]]'])
def test_other_options_are_refused(option):
    with pytest.raises(HermesError, match="--reasoning-tags must be pairs of tags as JSON"):
        read_tags(option)
