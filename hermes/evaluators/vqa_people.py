"""VQAv2's accuracy: by how many of the people who were asked an answer was given."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any


def accuracy(said: str, answers: Sequence[str], annotations: Sequence[int]) -> float:
    """Mean over the answers of min(1, matches among the other annotations / 3), Goyal et al. 2017.

    ``annotations`` numbers whose answer each is; an answer with the same number and text is no other annotation.
    """
    if said not in answers:
        return 0.0
    alike = [number for answer, number in zip(answers, annotations, strict=True) if answer == said]
    others = (
        len(alike) - (alike.count(number) if answer == said else 0)
        for answer, number in zip(answers, annotations, strict=True)
    )
    return in_turn_sum(min(1.0, count / 3) for count in others) / len(answers)


def in_turn_sum(values: Iterable[float]) -> float:
    """The sum, rounded after each addition; `sum` does not do that from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def annotation_numbers(people: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """For each annotation the place of the first that equals it in all but the answer."""
    ids = [person.get("answer_id") for person in people]
    if None not in ids and len(set(ids)) == len(ids):
        return _in_a_row(len(ids))
    rest = [{key: value for key, value in person.items() if key != "answer"} for person in people]
    return tuple(rest.index(one) for one in rest)


@cache
def _in_a_row(count: int) -> tuple[int, ...]:
    return tuple(range(count))
