"""Which self-plays are seeds of one arm: those that differ in their seed alone."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hermes.leaderboards.read import History


class Kind(NamedTuple):
    """What seeds of one arm have in common. A self-play that does not say its settings has its own align id there."""

    settings: str
    judges: tuple[str, ...]
    partial: bool


def arms_of(
    histories: Sequence[History], name_of: Callable[[History], str] = lambda history: history.name
) -> dict[str, list[History]]:
    """The self-plays by arm; where those of one name are of several kinds, the arm's name says which, in brackets."""
    named: dict[str, dict[Kind, list[History]]] = defaultdict(lambda: defaultdict(list))
    for history in histories:
        kind = Kind(history.settings or history.align_id, history.judges, history.partial)
        named[name_of(history)][kind].append(history)
    return {
        name + _brackets(kind, list(kinds)): members for name, kinds in named.items() for kind, members in kinds.items()
    }


def _brackets(kind: Kind, kinds: Sequence[Kind]) -> str:
    settings, judges, partial = (len(set(part)) > 1 for part in zip(*kinds, strict=True))
    said = [f"settings {kind.settings}"] * settings
    said += [f"judge {' and '.join(kind.judges) or 'none'}"] * judges
    said += ["partial"] * (partial and kind.partial)
    return f" ({', '.join(said)})" if said else ""
