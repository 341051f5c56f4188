"""A chat model's reply means yes, no, or what it says; the prompt is the same for every judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.judges.replies import asked, is_plain, plain_reply

AROUND = st.text(st.sampled_from(" \n\t*_\"'“”`.,!:;()[]#>-"), max_size=6)
SEPARATOR = st.sampled_from([",", ".", "!", "\n", " ", "**", '"', ";", ":", " - ", "—"])
NEITHER = (
    "Not really",
    "None",
    "nope",
    "Nobody",
    "No-one",
    "no1",
    "Yesterday",
    "yes-man",
    "Noël",
    "I cannot tell",
    "N/A",
)


def test_the_prompt_asks_for_a_short_answer():
    assert asked("Is there a dog?") == "Is there a dog?\nAnswer the question using a single word or phrase."
    assert SHORT_ANSWER in asked("What?")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Yes, it is.", "yes"),
        ("**No**", "no"),
        ("__No__, there are two.", "no"),
        ("\n\nYES", "yes"),
        ('"yes"', "yes"),
        ("“No.”", "no"),
        ("- Yes", "yes"),
        ("No: the ball is red", "no"),
        ("No—there is none", "no"),
        ("Yes, no cars are visible.", "yes"),
        ("No, yes is what I would say of the other one", "no"),
        ("no and it is blue", "no"),
        ("Yes, and no cars are visible", "yes"),
        ("ye\u017f", "yes"),
        ("yes and no", "yes and no"),
        ("Yes or no?", "Yes or no?"),
        ("**Yes** and **no**.", "**Yes** and **no**"),
        ("yes/no", "yes/no"),
        ("Yes & No", "Yes & No"),
        ("The answer is yes.", "yes"),
        ("<think>No, wait.</think>\n\nYes.", "yes"),
        ("No idea.", "No idea"),
        (" two dogs. ", "two dogs"),
        ("3.5", "3.5"),
        ("U.S.A.", "U.S.A"),
        ("", ""),
        (" \n", ""),
        ("...", ""),
        ("\ud800 red", "? red"),
        *((text, text) for text in NEITHER),
    ],
)
def test_replies(text, reply):
    assert plain_reply(text) == reply


@given(AROUND, st.sampled_from(["yes", "no", "Yes", "NO"]), SEPARATOR, st.sampled_from(["", "it is", "the dog runs"]))
def test_a_first_word_yes_or_no_is_the_answer(before, word, separator, rest):
    reply = plain_reply(before + word + separator + rest)
    assert reply == word.lower()
    assert is_plain(reply)


@given(AROUND, st.sampled_from(["yes", "no"]), st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3))
def test_a_longer_word_is_another_word(before, word, letters):
    assert not is_plain(plain_reply(before + word + letters))


@given(st.text())
def test_reading_twice_changes_nothing_and_what_is_read_can_be_written(text):
    reply = plain_reply(text)
    assert plain_reply(reply) == reply
    assert reply == reply.strip()
    assert not reply.endswith(".")
    assert reply.encode().decode() == reply


@given(st.text(st.characters(categories=["L"]), min_size=1).filter(lambda word: word.lower() not in ("yes", "no")))
def test_any_other_word_stays_itself(word):
    assert plain_reply(f" {word}. ") == word
