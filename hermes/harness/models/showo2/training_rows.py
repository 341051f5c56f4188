"""The rows that Show-o2 was trained on, with their labels: what a training that goes on from theirs must feed.

Source: showlab/Show-o, commit 45a5a2d, show-o2/datasets. ``before`` and ``after`` a picture, as in `Prepared`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.harness.models.showo2.prompting import ASSISTANT, SYSTEM, USER, Words

MOST = 512
"""Tokens that a question or an answer is cut to."""
IGNORED = -100
PICTURE = "<image>"


class TrainingRow(NamedTuple):
    """Token ids with the picture's placeholders, the label of each place or IGNORED, and where the picture begins."""

    ids: list[int]
    labels: list[int]
    begin: int


def caption_row(words: Words, caption: str, tokens: int) -> TrainingRow:
    """A picture of so many ``tokens`` and its caption, as the first stage has it; all but the picture is labelled."""
    text = [words.end, *words.encode(caption), words.eos]
    ids = [words.bos, words.begin, *[words.image] * tokens, *text]
    return TrainingRow(ids, [words.bos, words.begin, *[IGNORED] * tokens, *text], 2)


def conversation_row(words: Words, turns: Sequence[tuple[str, str]], tokens: int, plain: bool = False) -> TrainingRow:
    """Questions and answers about a picture; answers and their ends are labelled. Of a long answer the end is cut, too.

    The picture stands where the first question names it, or before one that does not.

    ``plain``: as the authors' "pre-training" has it, without the system's words and roles and with the picture alone
    as the first question.
    """
    ids = [words.bos, *([] if plain else words.encode(SYSTEM))]
    labels = [IGNORED] * len(ids)
    begin = 0
    for number, (question, answer) in enumerate(turns):
        asked = [] if plain else words.encode(USER)
        if number == 0:
            before, behind = (words.encode(part) for part in around_picture(question, plain))
            begin = len(ids) + len(asked) + len(before) + 1
            asked += [*before, words.begin, *[words.image] * tokens, words.end]
            asked += behind[: max(0, MOST - 1 - len(before))]
        else:
            asked += words.encode(question)[:MOST]
        if not plain:
            asked += [words.eos, *words.encode(ASSISTANT)]
        said = [*words.encode(answer), words.eos][:MOST]
        ids += [*asked, *said]
        labels += [*[IGNORED] * len(asked), *said]
    return TrainingRow(ids, labels, begin)


def around_picture(question: str, plain: bool) -> tuple[str, str]:
    """What stands before and behind the picture of a question; a picture at its end goes to the front."""
    if plain:
        return "", ""
    if question.endswith(f"\n{PICTURE}"):
        return "", "\n" + question.removesuffix(f"\n{PICTURE}")
    before, named, behind = question.partition(PICTURE)
    return (before, behind) if named else ("", question)
