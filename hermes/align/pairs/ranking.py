"""Several pairs of an item: best against worst, second best against second worst, and so on; or all of a group."""

from collections.abc import Iterable, Sequence

from hermes.align.losses.groups import worth
from hermes.align.pairs.preferences import Bar, Candidate, Side, groups_of, rank
from hermes.align.settings import GROUPED, SUPERVISED


def ranked_bars(
    candidates: Iterable[Candidate], pairs: int, side_loss: str = "sigmoid"
) -> dict[tuple[str, Side], list[Bar]]:
    """The (winner, loser) pairs of every item and side after one round, ``pairs`` of them or as many as there are.

    No candidate is in two. Under a loss of groups all have a place, but for the middle one of an odd number, and an
    advantage. Under the supervised loss any number of candidates may win, and a loser only says what was worse.
    """
    groups = groups_of(candidates).items()
    if side_loss in GROUPED:
        return {key: group_bars(group, side_loss) for key, group in groups}
    return {key: _bars(group, pairs, side_loss == SUPERVISED) for key, group in groups}


def group_bars(group: Sequence[Candidate], side_loss: str) -> list[Bar]:
    """All of a group, each with its advantage."""
    found = zip(group, worth([one.score for one in group], side_loss), strict=True)
    return _bars([one.model_copy(update={"advantage": value}) for one, value in found], len(group), False)


def _bars(group: Sequence[Candidate], pairs: int, alone: bool) -> list[Bar]:
    order = sorted(group, key=rank, reverse=True)
    best = order[: min(pairs, len(order) if alone else max(1, len(order) // 2))]
    rest = sorted(order[len(best) :], key=rank) or order[-1:]
    return [(winner, rest[min(place, len(rest) - 1)]) for place, winner in enumerate(best)]
