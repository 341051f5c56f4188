"""How far one judge agrees with what is known: agreement, false accepts and rejects with intervals, and kappa.

Of verdicts in any words, such as "yes", "no", "red", "3", where "" is one that cannot be read:

    agreement      the share of verdicts that are the known one
    false accept   of what is known to be no, the share that was called yes
    false reject   of what is known to be yes, the share that was not called yes, the unreadable included
    kappa          (agreement - chance) / (1 - chance), where chance is the agreement of two who say each word as often
                   as these two do (Cohen 1960); not defined where both say one and the same word throughout

Intervals are clustered by group: verdicts on one picture, or on one prompt, are not independent.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric, Record

YES, NO = "yes", "no"


class Pair(NamedTuple):
    """What is known of one thing, and what was said of it."""

    group: str
    known: str
    said: str


class Confusion(Record):
    """The figures of this file; None where nothing is known to be no, or yes, and where kappa is not defined."""

    n: int
    agreement: Metric
    false_accept: Metric | None
    false_reject: Metric | None
    kappa: float | None
    unreadable: int

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "Confusion":
        """Of one pair or more."""
        return cls(
            n=len(pairs),
            agreement=mean_metric([pair.said == pair.known for pair in pairs], [pair.group for pair in pairs]),
            false_accept=_share([pair for pair in pairs if pair.known == NO], wrong=True),
            false_reject=_share([pair for pair in pairs if pair.known == YES], wrong=False),
            kappa=kappa((pair.known, pair.said) for pair in pairs),
            unreadable=sum(not pair.said for pair in pairs),
        )


def kappa(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two who gave a word to each of the same things."""
    found = list(pairs)
    n = len(found)
    mine, theirs = Counter(one for one, _ in found), Counter(other for _, other in found)
    chance = sum(count * theirs[word] for word, count in mine.items()) / (n * n) if n else 1.0
    return None if chance == 1 else (sum(one == other for one, other in found) / n - chance) / (1 - chance)


def _share(pairs: Sequence[Pair], wrong: bool) -> Metric | None:
    """How often what is known alike was called yes, or was not."""
    called = [(pair.said == YES) == wrong for pair in pairs]
    return mean_metric(called, [pair.group for pair in pairs]) if pairs else None
