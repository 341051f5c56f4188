"""Pairs of images that differ in one kind of questions alone: in what is counted, or in anything but that."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Bar, Candidate, Side, groups_of, rank
from hermes.align.settings import Differ
from hermes.harness.system.errors import HermesError

COUNTS = frozenset(("count", "counting", "number"))
"""What questions about counts are called: in the drawn world, by TIFA, by VQAv2."""
UNNAMED = "other"
"""The kind of a question whose data name none."""


def kind_of(question: Mapping[str, object]) -> str:
    """The kind of a question of an item."""
    return str(question.get("kind") or UNNAMED).strip().lower()


def refuse_unnamed(differ: Differ, items: Iterable[Item], source: str) -> None:
    """Raise HermesError where the items have no question of a kind that may differ; ``source`` is where they are from.

    Kinds that nobody names would put all questions among the attributes, which then restrict nothing.
    """
    kinds = {kind_of(question) for item in items for question in item.generation.target}
    wanted = kinds & COUNTS if differ == "count" else kinds - COUNTS - {UNNAMED}
    if differ == "anything" or wanted:
        return
    what = "count, or counting" if differ == "count" else "color, shape and so on"
    raise HermesError(
        f"differ {differ!r} goes by the kinds of questions, and no question of {source} has a fitting kind ({what}); "
        "name the kinds in the data or leave differ out"
    )


def differing_bars(
    candidates: Iterable[Candidate],
    kinds: Mapping[str, Sequence[str]],
    differ: Differ,
    pairs: int,
    threshold: float,
) -> dict[tuple[str, Side], list[Bar]]:
    """(winner, loser) of every item's images that differ in such questions alone, ``pairs`` of them or as many as
    there are, none for an item that has no such pair.

    ``kinds`` are those of the questions of each item, by its id. Under "count" both answer alike, rightly or wrongly,
    all questions about no count, and the winner has more of the others right; "attributes" is the reverse. A pair whose
    winner is above the ``threshold`` comes first, then the one in which more questions differ, then the one of the
    better winner, at last that of the worse loser. No candidate is in two.
    """
    bars = {}
    for key, group in groups_of(candidates).items():
        may = [(kind in COUNTS) == (differ == "count") for kind in kinds[key[0]]]
        bars[key] = _disjoint(_differing(group, may), pairs, threshold)
    return bars


def _differing(group: Sequence[Candidate], may: Sequence[bool]) -> list[tuple[int, Bar]]:
    """All pairs that are alike in the questions that may not differ, with how many more the winner has right."""
    found = []
    known = [one for one in group if one.right is not None and len(one.right) == len(may)]
    for winner, loser in permutations(known, 2):
        told = list(zip(winner.right or "", loser.right or "", may, strict=True))
        more = sum(int(won) - int(lost) for won, lost, _ in told)
        if more > 0 and all(won == lost or free for won, lost, free in told):
            found.append((more, (winner, loser)))
    return found


def _disjoint(found: Sequence[tuple[int, Bar]], pairs: int, threshold: float) -> list[Bar]:
    """The first of them in their order, each with candidates of its own."""

    def order(one: tuple[int, Bar]) -> tuple[float, ...]:
        more, (winner, loser) = one
        return (winner.score > threshold, more, *rank(winner), *(-value for value in rank(loser)))

    taken: list[Bar] = []
    for _, bar in sorted(found, key=order, reverse=True):
        if len(taken) < pairs and not any(one in other for one in bar for other in taken):
            taken.append(bar)
    return taken
