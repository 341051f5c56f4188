"""The filter by question answering: prompts and rules under a scripted model, and a tiny T5 through the real path."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_checkpoints import tiny_t5

from hermes.harness.data.homologous.records import Question
from hermes.harness.questions.answer_filter import AnswerFilter, agrees, f1, number_in
from hermes.harness.questions.checkpoints import TextModel, load_text_model


def question(text, answer, *choices):
    return Question(question=text, answer=answer, choices=choices or ("yes", "no"))


CAPTION = "Two cats on a red couch."
IS_CAT = question("is it a cat?", "yes")
COUNT = question("how many cats?", "2", "1", "2", "3", "4")
PLACE = question("where are they?", "on the red couch", "on the red couch", "on a bed", "outside", "in a car", "at sea")


class Scripted(TextModel):
    """Answers from a table; notes what it was asked."""

    def __init__(self, replies):
        super().__init__("scripted", None, None)
        object.__setattr__(self, "replies", replies)
        object.__setattr__(self, "asked", [])

    def generate(self, prompts: Sequence[str], special_tokens: bool, length: int, beams: int = 1) -> list[str]:
        self.asked.extend(prompts)
        return [self.replies.get(prompt, "") for prompt in prompts]


REPLIES = {
    f"is it a cat? \n {CAPTION} \n (A) yes (B) no ": "yes",
    f"how many cats? \n {CAPTION} \n (A) 1 (B) 2 (C) 3 (D) 4 ": "2",
    f"how many cats? \n {CAPTION}": "Two.",
    f"where are they? \n {CAPTION} \n (A) on the red couch (B) on a bed (C) outside (D) in a car ": "on the red couch",
    f"where are they? \n {CAPTION}": "the red couch",
}


def kept(questions, **changes):
    return AnswerFilter(Scripted(REPLIES | changes)).kept([CAPTION], [questions])[0]


def test_questions_that_both_checks_answer_rightly_stay():
    assert kept([IS_CAT, COUNT, PLACE]) == (IS_CAT, COUNT, PLACE)


@pytest.mark.parametrize(
    ("prompt", "reply", "left"),
    [
        (0, "Yes", (COUNT, PLACE)),
        (1, "two", (IS_CAT, PLACE)),
        (2, "three", (IS_CAT, PLACE)),
        (3, "on the red couch.", (IS_CAT, COUNT)),
        (4, "red couch", (IS_CAT, COUNT, PLACE)),
        (4, "couch", (IS_CAT, COUNT)),
        (4, "a red car outside", (IS_CAT, COUNT)),
    ],
)
def test_questions_with_another_answer_go(prompt, reply, left):
    assert kept([IS_CAT, COUNT, PLACE], **{list(REPLIES)[prompt]: reply}) == left


def test_yes_and_no_are_not_asked_for_freely_and_nothing_that_failed_already():
    model = Scripted({**REPLIES, list(REPLIES)[3]: "outside"})
    AnswerFilter(model).kept([CAPTION], [[IS_CAT, COUNT, PLACE]])
    assert model.asked == [list(REPLIES)[k] for k in (0, 1, 3, 2)]


def test_a_wording_stays_once_and_captions_are_kept_apart():
    twice = question(IS_CAT.question, "no")
    assert kept([IS_CAT, twice]) == (IS_CAT,)
    assert kept([twice, IS_CAT]) == ()
    sieve = AnswerFilter(Scripted(REPLIES))
    assert sieve.kept([CAPTION, "Else.", CAPTION], [[IS_CAT], [IS_CAT], [COUNT]]) == [(IS_CAT,), (), (COUNT,)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two", 2),
        ("twenty one", 21),
        ("there are two hundred and five dogs", 205),
        ("three thousand forty", 3040),
        ("7", 7),
        ("cats", None),
        ("", None),
        ("hundred", None),
    ],
)
def test_numbers_in_words(text, number):
    assert number_in(text) == number


def test_numbers_are_compared_as_numbers_only_where_the_answer_is_one():
    assert agrees(question("q", "12"), "Twelve!")
    assert not agrees(question("q", "twelve"), "12")


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_f1_is_that_of_precision_and_recall(gold, said):
    true, false = sum(word in said for word in gold), sum(word not in gold for word in said)
    precision = true / (true + false) if true + false else 0.0
    recall = true / len(gold) if gold else 0.0
    expected = 2 * precision * recall / (precision + recall) if precision + recall else float(not gold and not said)
    assert f1(gold, said) == pytest.approx(expected)


def test_a_checkpoint_is_asked_in_batches(tmp_path):
    model = load_text_model("AutoModelForSeq2SeqLM", str(tiny_t5(tmp_path)), "cpu")
    prompts = list(REPLIES)
    texts = model.generate(prompts, True, 30)
    assert texts == [model.generate([prompt], True, 30)[0] for prompt in prompts]
    assert any(texts)
    assert all(len(text) <= 30 for text in texts)
    sieve = AnswerFilter(model)
    assert sieve.identity == f"filter:{tmp_path.name}"
    assert sieve.kept([CAPTION], [[IS_CAT, COUNT, PLACE]]) == [()]
