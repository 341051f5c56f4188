"""Several pairs of an item: best against worst, second best against second worst, and so on; or all of a group."""

from collections.abc import Iterable

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
    bars = {}
    for key, group in groups_of(candidates).items():
        if side_loss in GROUPED:
            found = zip(group, worth([one.score for one in group], side_loss), strict=True)
            group, pairs = [one.model_copy(update={"advantage": value}) for one, value in found], len(group)
        order = sorted(group, key=rank, reverse=True)
        most = len(order) if side_loss == SUPERVISED else max(1, len(order) // 2)
        best = order[: min(pairs, most)]
        rest = sorted(order[len(best) :], key=rank) or order[-1:]
        bars[key] = [(winner, rest[min(place, len(rest) - 1)]) for place, winner in enumerate(best)]
    return bars
