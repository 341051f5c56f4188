"""Every gap over items that a run has: what it is over, and which task draws."""

from collections.abc import Iterator
from typing import NamedTuple

from hermes.harness.run.gap import GENERATION
from hermes.leaderboards.read import HomologousGap, Run
from hermes.leaderboards.titles import title


class OverItems(NamedTuple):
    """``over`` is such as "homologous items, G (guidance scale 1)"."""

    over: str
    task: str
    gap: HomologousGap

    @property
    def heading(self) -> str:
        """The same as a line begins with it."""
        return self.over[0].upper() + self.over[1:]


def over_items(run: Run) -> Iterator[OverItems]:
    """Homologous items first, under each way of drawing, then Unison's."""
    for task, found in {GENERATION: run.gap.homologous, **run.gap.variants}.items():
        if found:
            more = "" if task == GENERATION else f", {title(task)}"
            yield OverItems(f"homologous items{more}", task, found)
    for task, gap in run.gap.unison.items():
        yield OverItems("Unison's items" + (f", {title(task)}" if "@" in task else ""), task, gap)
