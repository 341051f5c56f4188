"""What self-rejection comes to: how often a model rejects its own pictures, beside how often it rejects others'."""

from collections.abc import Sequence

import numpy as np

from hermes.harness.contracts.benchmark import Answer
from hermes.harness.contracts.columns import Columns
from hermes.harness.records.stats import Means
from hermes.harness.records.types import Metric, Score

OWN, SWAPPED = "rejected", "swapped_rejected"
TOLD_APART = "told_apart"

Verdicts = Sequence[bool | None]
"""Whether each thing that was asked about a picture was found to be so; None where the reply cannot be read."""


def rejections(answer: Answer, own: Verdicts, swapped: Verdicts, tags: dict[str, str]) -> Score:
    """The score of a picture: rejected where a reply that can be read denies what was asked for.

    It has no value of its own, or swapped, where no such reply can be read.
    """
    values: dict[str, float] = {}
    for name, verdicts in ((OWN, own), (SWAPPED, swapped)):
        read = [verdict for verdict in verdicts if verdict is not None]
        if read:
            denied = [not verdict for verdict in read]
            values |= {name: float(any(denied)), f"{name}/details": sum(denied) / len(denied)}
    unread = sum(verdict is None for verdict in (*own, *swapped))
    sample = answer.sample
    return Score(
        sample_id=sample.id,
        index=answer.response.index,
        group_id=sample.group_id,
        values=values,
        reason=f"{unread} of {len(own) + len(swapped)} replies cannot be read" if unread else "",
        status="unparsed" if unread else "scored",
        tags=tags,
    )


def readable(scores: Columns, value: str) -> Columns:
    """The scores that have the value."""
    return scores.take(np.flatnonzero(np.isfinite(scores.values[value])))


def told_apart(scores: Columns, own: str, swapped: str) -> Metric:
    """(own accepted + swapped rejected) / 2: 0.5 for a model that always says the same; NaN where either is missing."""
    mine, others = readable(scores, own), readable(scores, swapped)
    if not len(mine) or not len(others):
        return Metric(value=float("nan"))
    return Means([(1 - mine.values[own], mine.groups), (others.values[swapped], others.groups)]).metric()
