"""G under guidance in self-plays: at which scale a round has it, who chose the scale, and what its column is called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hermes.harness.run.gap import GENERATION, compared_guidance
from hermes.leaderboards.read import History, Round
from hermes.leaderboards.titles import BEST_GUIDED, guided_title

SCALE = re.compile(rf"{GENERATION}@guidance_scale=(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")
CHOSEN = "best-guidance"
"""What a column is called on the command line whose rounds have each chosen their scale."""


@dataclass(frozen=True)
class Way:
    """How self-plays come to a scale: as one ``task`` of all rounds, or each round as the best ``among`` several.

    ``reported``: the scenes on which it is chosen are those that are reported.
    """

    task: str = ""
    among: tuple[float, ...] = ()
    reported: bool = False

    @property
    def key(self) -> str:
        return CHOSEN if self.among else self.task

    @property
    def title(self) -> str:
        return BEST_GUIDED if self.among else guided_title(self.task)

    @property
    def said(self) -> str:
        """How it was chosen, in a sentence; "" where it was not."""
        if not self.among:
            return ""
        where = "these very scenes, which are validation scenes" if self.reported else "validation scenes"
        return f"{BEST_GUIDED}: each round of a self-play at its best scale of {scales(self.among)} on {where}."


def way_of(history: History) -> Way:
    """The way of a self-play."""
    if not history.guidances:
        return Way(history.guided)
    splits = {run.split for run in history.evaluations.values()}
    return Way(among=history.guidances, reported=splits == {"validation"})


def title_of(ways: Iterable[Way]) -> str:
    """The title of a column in which self-plays of these ways stand."""
    titles = {way.title for way in ways}
    return titles.pop() if len(titles) == 1 else guided_title("")


def said_of(ways: Iterable[Way]) -> list[str]:
    """How scales were chosen, a sentence for each way in which they were."""
    return list(dict.fromkeys(said for way in ways if (said := way.said)))


def guided_task(history: History, entry: Round) -> str:
    """The task whose accuracy is the round's ``g_guided``; "" where nothing says it, as in very old files."""
    if history.guidances and entry.guidance is not None:
        return compared_guidance(entry.guidance)
    return history.guided


def guided_scale(history: History, entry: Round) -> float | None:
    """The scale of that task; older files do not have it but in the task's name."""
    if entry.guidance is not None:
        return entry.guidance
    found = SCALE.fullmatch(history.guided)
    return float(found[1]) if found else None


def scales(found: Iterable[float]) -> str:
    """``1``, or of several different ones ``1, 2``."""
    return ", ".join(f"{scale:g}" for scale in sorted(set(found)))
