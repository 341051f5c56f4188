"""TIFA's filter: a question stays if UnifiedQA, which reads only the caption, gives its answer.

Source: tifascore/question_filter.py and unifiedqa.py of Yushi-Hu/tifa at 906437f, checkpoint
allenai/unifiedqa-v2-t5-large-1363200 or any T5. Two checks:
- Multiple choice: question, caption and the first four choices as "(A) cat (B) dog ". The text written must be the
  answer, letter by letter.
- Free form, unless the answer is yes or no: question and caption; the text, without punctuation and in lower case, must
  share words with the answer, F1 above 0.6. Where the answer is a number, number words are read as one.
A question asked twice of a caption is kept once. The parts are joined by a line feed, as there, although UnifiedQA was
trained with a backslash and an n.
"""

from collections.abc import Callable, Sequence

from hermes.harness.data.homologous.records import Question
from hermes.harness.questions.checkpoints import TextModel

CHECKPOINT = "allenai/unifiedqa-v2-t5-large-1363200"
LETTERS = "ABCD"
LENGTH = 30
LEAST_F1 = 0.6
BATCH = 64
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * k for k, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000}


class AnswerFilter:
    """Both checks, batched over captions."""

    def __init__(self, model: TextModel) -> None:
        self.model = model
        self.identity = f"filter:{model.identity}"

    def kept(self, captions: Sequence[str], questions: Sequence[Sequence[Question]]) -> list[tuple[Question, ...]]:
        """The questions of each caption that pass, in order."""
        asked = [(number, question) for number, found in enumerate(questions) for question in distinct(found)]
        asked = self._passing(asked, captions, choice_prompt, chosen)
        asked = self._passing(asked, captions, free_prompt, agrees)
        passed: list[list[Question]] = [[] for _ in questions]
        for number, question in asked:
            passed[number].append(question)
        return [tuple(found) for found in passed]

    def _passing(
        self,
        asked: Sequence[tuple[int, Question]],
        captions: Sequence[str],
        prompt: Callable[[Question, str], str | None],
        right: Callable[[Question, str], bool],
    ) -> list[tuple[int, Question]]:
        """Those whose answer is right, and those for which there is no prompt."""
        prompts = [prompt(question, captions[number]) for number, question in asked]
        texts = iter(self._answers([text for text in prompts if text is not None]))
        return [one for one, text in zip(asked, prompts, strict=True) if text is None or right(one[1], next(texts))]

    def _answers(self, prompts: Sequence[str]) -> list[str]:
        batches = (prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH))
        return [text for batch in batches for text in self.model.generate(batch, True, LENGTH)]


def distinct(questions: Sequence[Question]) -> list[Question]:
    """The first question of each wording."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.question, question)
    return list(first.values())


def choice_prompt(question: Question, caption: str) -> str:
    """The multiple-choice check's prompt."""
    choices = "".join(f"({letter}) {choice} " for letter, choice in zip(LETTERS, question.choices, strict=False))
    return f"{question.question} \n {caption} \n {choices}"


def chosen(question: Question, text: str) -> bool:
    """Whether the text is the answer, letter by letter."""
    return text == question.answer


def free_prompt(question: Question, caption: str) -> str | None:
    """The free-form check's prompt; None for questions whose answer is yes or no."""
    return None if question.answer in ("yes", "no") else f"{question.question} \n {caption}"


def agrees(question: Question, text: str) -> bool:
    """Whether the free text shares enough words with the answer."""
    said = "".join(letter for letter in text if letter.isalnum() or letter.isspace()).strip().lower()
    if question.answer.isnumeric() and (number := number_in(said)) is not None:
        said = str(number)
    return f1(question.answer.split(), said.split()) > LEAST_F1


def f1(gold: Sequence[str], said: Sequence[str]) -> float:
    """Of precision (words of ``said`` against words of gold that were said) and recall (of the words of ``gold``)."""
    if not gold:
        return float(not said)
    found = sum(word in said for word in gold)
    false = sum(word not in gold for word in said)
    return 2 * found / (2 * found + false + len(gold) - found) if found else 0.0


def number_in(text: str) -> int | None:
    """The number that the number words of a text add up to, other words aside; None where there are none.

    Ours in place of the package word2number: equal on the numbers that captions hold, without fractions and millions.
    """
    if text.isdecimal():
        return int(text)
    total, part, found = 0, 0, False
    for word in text.split():
        if word in _NUMBERS:
            part, found = part + _NUMBERS[word], True
        elif word in _SCALES and found:
            part = max(part, 1) * _SCALES[word]
            if word == "thousand":
                total, part = total + part, 0
    return total + part if found else None
