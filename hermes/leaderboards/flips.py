"""The samples that one run got right and another wrong: what was asked, and both answers, as far as they are stored."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from hermes.harness.records.stored_samples import StoredSample
from hermes.harness.records.types import Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.answers import Answer, answers_of, asked_of, worths
from hermes.leaderboards.questions import asked_about, reply_to
from hermes.leaderboards.read import Run, score_files
from hermes.leaderboards.tables import DASH
from hermes.leaderboards.worth import gold_of

FLIPPED = 0.5
"""So much an answer's worth changes where its sample has flipped: from wrong to right where it is 0 or 1."""


class Asked(NamedTuple):
    """A question about a drawn picture, its right answer, and the replies about the pictures of both runs."""

    question: str
    right: str
    before: str
    after: str


@dataclass(frozen=True)
class Flip:
    """A sample whose answer is right in one run and wrong in the other.

    ``asked`` are the questions about a drawn picture to which the replies differ; then ``target`` is these and their
    right answers, and the answers' texts are the replies.
    """

    run: str
    task: str
    sample: str
    index: int
    category: str
    prompt: str
    target: str
    before: Answer
    after: Answer
    asked: tuple[Asked, ...]

    @property
    def is_gain(self) -> bool:
        return self.after.worth > self.before.worth


def flips_of(name: str, task: str, base: Run, run: Run) -> list[Flip]:
    """The samples of a task that flipped between two runs, the furthest first; none where scores are not there."""
    try:
        files = [score_files(one.path)[task] for one in (base, run)]
        before, after = (worths(path) for path in files)
    except (HermesError, KeyError):
        return []
    moved = {key: abs(after[key] - before[key]) for key in before if key in after}
    keys = [key for key in sorted(moved, key=lambda key: -moved[key]) if moved[key] >= FLIPPED]
    if not keys:
        return []
    wanted = set(keys)
    asked = [asked_of(one, task, wanted) for one in (base, run)]
    sides = [answers_of(one, task, path, wanted, of) for one, path, of in zip((base, run), files, asked, strict=True)]
    return [
        _flip(name, task, asked[1].get(key[0]) or asked[0].get(key[0]), *(side[key] for side in sides)) for key in keys
    ]


def _flip(
    name: str, task: str, sample: StoredSample | None, before: tuple[Score, Answer], after: tuple[Score, Answer]
) -> Flip:
    (first, answer), (second, other) = before, after
    category = ", ".join(dict.fromkeys((second.tags or first.tags).values()))
    prompt, target = (sample.prompt, gold_of(sample.target) or "") if sample else ("", "")
    apart = tuple(_apart(sample, first, second)) if sample else ()
    if apart:
        target = "; ".join(f"{one.question} {one.right}" for one in apart)
        answer = replace(answer, text="; ".join(one.before for one in apart))
        other = replace(other, text="; ".join(one.after for one in apart))
    return Flip(name, task, first.sample_id, first.index, category, prompt, target, answer, other, apart)


def _apart(sample: StoredSample, before: Score, after: Score) -> Iterator[Asked]:
    for number, one in enumerate(asked_about(sample.target, sample.metadata)):
        first, second = (reply_to(score.prediction, number, one.name) or DASH for score in (before, after))
        if first != second:
            yield Asked(one.text, one.right, first, second)
