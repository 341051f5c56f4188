"""Self-rejection: does a model find in its own picture what it was asked to draw?

The pictures are those of homologous-g: nothing is drawn anew. The model answers the questions of the picture's own
item and, as a control, those of the item that follows (of the one before, for the last; none where the prompt is the
same). A reply that is not the right answer denies a detail, and a picture of which any detail is denied is rejected.
Replies are read as those of homologous-g, and one that cannot be read neither accepts nor rejects.

Metrics, 0..1:
- ``rejected``: the share of own pictures that the model itself rejects (the non-unification score of arXiv 2507.16663,
  over details; 0 is best). ``rejected/details`` is the mean over pictures of the share of details that are denied.
- ``swapped_rejected`` and ``swapped_rejected/details``: the same of pictures that were drawn for another item. Some
  details of another item happen to hold, so less than 1 is reached at best.
- ``told_apart``, the headline: (details accepted of own pictures + details denied of swapped ones) / 2. A model that
  answers whatever it sees in the same way has 0.5, although its ``rejected`` may be 0.

Who is at fault where a picture is rejected, the drawing or the judging, the judge of homologous-g says: a run that has
both tasks holds their 2 x 2 under "gap", "self_rejection" (harness/run/rejection.py).
"""

from collections.abc import Iterable, Iterator, Sequence

from hermes.evaluators.homologous import Generation
from hermes.evaluators.homologous_replies import Asked
from hermes.evaluators.rejections import OWN, SWAPPED, TOLD_APART, readable, rejections, told_apart
from hermes.harness.contracts.benchmark import Answer, Row, Scored
from hermes.harness.contracts.columns import collect
from hermes.harness.records.types import Metric, Sample, Score

VALUES = (OWN, f"{OWN}/details", SWAPPED, f"{SWAPPED}/details")


class SelfRejection(Generation):
    """The questions of the own item and of another, asked of the model about what it drew."""

    name = "self-rejection"
    version = "1"
    title = "Self-rejection"
    headline = TOLD_APART
    best = Generation.chance  # nobody knows what is reached at best, so it is in no mean over benchmarks
    judge = "self"
    judge_needs = "answer"
    judges_itself = True
    standard = False
    looks_at = Generation

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample an item; its target holds the questions of both, those of the other item marked ``swapped``."""
        before: Sample | None = None
        last: Sample | None = None
        for sample in super().samples(rows):
            if last is not None:
                yield _with_questions_of(last, sample)
            before, last = last, sample
        if last is not None:
            yield _with_questions_of(last, before)

    def score_read(self, answer: Answer, asked: Sequence[Asked], said: Sequence[str]) -> Score:
        found = [one.right(read) if read else None for one, read in zip(asked, said, strict=True)]
        marks = [qa.get("swapped", False) for qa in answer.sample.target]
        own, swapped = (
            [verdict for verdict, mark in zip(found, marks, strict=True) if mark is side] for side in (False, True)
        )
        return rejections(answer, own, swapped, {}).model_copy(update={"prediction": list(said)})

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, VALUES)
        means = {value: readable(scores, value).mean(value) for value in VALUES}
        return {TOLD_APART: told_apart(scores, f"{OWN}/details", f"{SWAPPED}/details"), **means}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> None:
        """Which values there are depends on which replies can be read."""


def _with_questions_of(sample: Sample, other: Sample | None) -> Sample:
    """The sample with another's questions behind its own."""
    if other is None or other.prompt == sample.prompt:
        return sample
    return sample.model_copy(update={"target": [*sample.target, *({**qa, "swapped": True} for qa in other.target)]})
