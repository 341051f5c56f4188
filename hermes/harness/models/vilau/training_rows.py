"""The rows that VILA-U trains on, with their labels: what a training that goes on from theirs must feed.

Source: mit-han-lab/vila-u, commit 096623c. Unlike at inference, <im_start> and <im_end> stand around every picture.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.harness.models.vilau.prompting import BEGIN, END, SYSTEM, Words, drawing

IGNORED = -100


class TrainingRow(NamedTuple):
    """Token ids with IMAGE at each position of a picture, and the label of each place at its own token's place.

    A label is IGNORED where nothing is learnt, and IMAGE where the position's codes are.
    """

    ids: list[int]
    labels: list[int]


def generation_row(words: Words, caption: str, positions: int) -> TrainingRow:
    """A picture of so many positions behind its caption; all from the space before it to the end is learnt."""
    asked = drawing(caption)
    ids = words.prompt([asked, f"{END}</s>"], positions)
    begin = 1 + len(words.part(asked.removesuffix(f" {BEGIN}")))
    return TrainingRow(ids, [IGNORED] * begin + ids[begin:])


def conversation_row(words: Words, turns: Sequence[tuple[str, str]], positions: int = 0) -> TrainingRow:
    """Questions and answers, the first about a picture of so many positions, if any; the answers are learnt."""
    before, text = (f"{SYSTEM} USER: {BEGIN}", f"{END}\n") if positions else ("", f"{SYSTEM} USER: ")
    fixed = len(words.prompt([before, ""], positions))
    labels = [IGNORED] * fixed
    for number, (asked, said) in enumerate(turns):
        text += f"{'USER: ' if number else ''}{asked} ASSISTANT:"
        labels += [IGNORED] * (fixed + len(words.part(text)) - len(labels))
        text += f" {said}</s>"
        labels += words.part(text)[len(labels) - fixed :]
    return TrainingRow(words.prompt([before, text], positions), labels)
