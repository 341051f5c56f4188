"""Replies to homologous questions, read many at once under either protocol, and how often yes is right and said."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hermes.evaluators.tifa_questions import chosen, similarities_of
from hermes.harness.contracts.columns import Columns
from hermes.harness.contracts.reader import is_yes_or_no, read, said, words
from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric

CLOSEST = "similarity"
SIMILARITY = "minilm"
YES = ("yes_gold", "yes_said")
BINARY = "binary"


class Asked(NamedTuple):
    """A reply, and the right answer and the choices of its question."""

    reply: str
    gold: str
    choices: Sequence[str]

    def tags(self, kind: str, said: str) -> dict[str, str]:
        """The kind of the question and, where it is one of yes or no, "<right answer>/<what was said>"."""
        return {"kind": kind} | ({BINARY: f"{words(self.gold)}/{said}"} if is_yes_or_no(self.gold) else {})

    def right(self, said: str) -> bool:
        return bool(said) and said == words(self.gold)


def read_all(asked: Sequence[Asked], protocol: str) -> list[str]:
    """What each reply says, "" where it cannot be read; under `CLOSEST` what the closest choice says instead."""
    found = [read(*one) for one in asked]
    if protocol == CLOSEST:
        strange = [place for place, one in enumerate(asked) if not found[place] and one.choices and words(one.reply)]
        replies = [said(asked[place].reply) for place in strange]
        choices = [asked[place].choices for place in strange]
        similar = similarities_of(replies, choices, SIMILARITY)
        for place, reply, options, values in zip(strange, replies, choices, similar, strict=True):
            found[place] = words(chosen(reply, options, values))
    return found


def yes_shares(questions: Columns) -> dict[str, Metric]:
    """The shares of yes among the right answers and the replies to yes/no questions; nothing where there are none."""
    pairs = [name.split("/") for name in questions.names[BINARY]]
    places = np.flatnonzero(questions.tags[BINARY] >= 0)
    if not len(places):
        return {}
    codes, groups = questions.tags[BINARY][places], questions.groups[places]
    shares = np.array([[float(word == "yes") for word in pair] for pair in pairs])
    return {name: mean_metric(shares[codes, side], groups) for side, name in enumerate(YES)}
