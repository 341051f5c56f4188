"""The one reader: yes and no in many wordings, choices by letter and text, the words of all else, and right answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.contracts.reader import choice_of, gold_choice, read, words, yes_or_no

COLORS = ["red", "blue", "a dark green", "none"]


@pytest.mark.parametrize(
    ("reply", "found"),
    [("Yes.", "yes"), (" The red circle\n", "red circle"), ("two", "2"), ("top-left", "top left"), ("...", "")],
)
def test_words(reply, found):
    assert words(reply) == found


@given(st.text())
def test_words_of_words_are_the_same(reply):
    assert words(words(reply)) == words(reply)


@pytest.mark.parametrize(
    "form",
    [
        *("{}", "{}.", "**{}**", "{}, it is.", "{}: one can see that", "Answer: {}", "The answer is {}."),
        *("My final answer is **{}**.", "So the answer is: {}", "<think>No? Yes? No!</think>{}", "No.</think>\n\n{}."),
    ],
)
@pytest.mark.parametrize("word", ["yes", "no", "Yes", "NO"])
def test_yes_and_no_are_read_in_many_wordings(form, word):
    assert yes_or_no(form.format(word)) == word.lower()


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "",
            "perhaps",
            "yes and no",
            "Yes or no?",
            "I have no idea",
            "No idea.",
            "No doubt it is red",
            "nope",
            "none",
        ),
        *("The answer is not yes", "There is no cat", "It is.", "true", "<think>yes", "y"),
    ],
)
def test_what_is_neither_is_not_guessed(reply):
    assert yes_or_no(reply) == ""


@pytest.mark.parametrize(
    "reply", ["blue", "Blue.", "B", "b", "(B)", "B.", "B: blue", "(b) Blue", "Option B", "Answer: B"]
)
def test_a_choice_is_named_by_text_letter_or_both(reply):
    assert choice_of(reply, COLORS) == 1


@pytest.mark.parametrize("reply", ["", "E", "B. red", "pink", "blue or red", "I do not know", "light blue"])
def test_what_is_no_choice_is_not_guessed(reply):
    assert choice_of(reply, COLORS) is None


def test_a_choices_text_comes_before_letters_and_articles_do_not_count():
    assert choice_of("A", ["B", "A"]) == 1
    assert choice_of("Dark green", COLORS) == 2
    assert choice_of("Yes, it is.", ["no", "yes", "maybe"]) == 1
    assert read("C", "green", COLORS) == words(COLORS[2])


@pytest.mark.parametrize(
    ("gold", "place"),
    [("blue", 1), ("Blue", 1), ("B", 1), ("b", 1), ("B: blue", 1), ("(B) blue", 1), ("D. None.", 3), (" none ", 3)],
)
def test_a_right_answer_means_one_choice(gold, place):
    assert gold_choice(gold, COLORS) == place


@pytest.mark.parametrize("gold", ["?", "", "E", "1", "0", "pink", "B: red", "blu"])
def test_a_right_answer_that_is_no_choice_means_none(gold):
    assert gold_choice(gold, COLORS) is None


def test_a_right_answer_that_may_mean_two_choices_means_none():
    assert gold_choice("b", ["B", "a"]) is None
    assert gold_choice("red", ["Red", "RED"]) is None
    assert gold_choice("B", ["B", "a"]) == 0  # its very text


def test_the_question_decides_how_a_reply_is_read():
    assert read("Yes, two.", "yes") == "yes"
    assert read("Yes, two.", "2") == "yes 2"
    assert read("two of them", "no") == ""
    assert read("two of them", "2", ["1", "2"]) == ""
    assert read("The answer is two.", "2") == "2"
