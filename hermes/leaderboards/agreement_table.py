"""Whether the same questions succeed on both sides, as a table and in words: the 2 x 2, J, phi, and how often yes."""

from collections.abc import Mapping

from hermes.harness.records.agreement import CELLS, undefined_phi
from hermes.harness.records.types import Result
from hermes.harness.run.gap import UNDERSTANDING
from hermes.leaderboards.over_items import over_items
from hermes.leaderboards.provenance import cell_of
from hermes.leaderboards.read import Run
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import SAME

TOLD = "J: the share of questions that are right on both sides; phi: the correlation of right and wrong between them"
COUNTS = dict(zip(CELLS, ("Both right", "Real alone", "Drawn alone", "Neither"), strict=True))
CAPTION = (
    f"{TOLD}, 0 where they have nothing to do with each other and 1 where the same ones are right. Ratio: J by what "
    "independent sides would have. Both intervals are paired and clustered by item. GapEval: its gap in closed form."
)


def agreement_table(run: Run) -> Table:
    """The four counts, J, its ratio to independence and phi of each way of drawing; no rows in runs without them."""
    rows, notes = [], []
    for one in over_items(run):
        over, task, found = one.heading, one.task, one.gap
        if found.joint is None:
            continue
        numbers = (Cell(found.ratio), cell_of(found.phi, 3, run))
        counts = (Cell(float(found.counts[name])) for name in CELLS)
        more = (Cell(found.gapeval.get("gap")), Cell(float(found.left_out)))
        rows.append((Cell(text=over), cell_of(found.joint, 3, run), *numbers, *counts, *more))
        notes += [f"{over}: no phi, as {why}." for why in [undefined_phi(**found.counts)] if why]
        notes += [f"{over}, {said}." for said in [yes_rates(run.results, task)] if said]
        notes += [f"{over}, Uni, the mean over items: {uni.value:.3f}." for uni in [found.unified] if uni]
    return Table(
        title="The same questions on both sides",
        columns=(
            text_column("Over"),
            Column(SAME["joint"], 3, None),
            Column("Ratio", 2, None),
            Column(SAME["phi"], 3, None),
            *(Column(name, 0, None) for name in COUNTS.values()),
            Column("GapEval", 3, None),
            Column("Left out", 0, None),
        ),
        rows=tuple(rows),
        caption=CAPTION,
        notes=tuple(notes),
    )


def yes_rates(results: Mapping[str, Result], drawn: str) -> str:
    """How often yes is right and was said on both sides, in words; "" where no question is one of yes or no."""
    sides = [results[task].metrics for task in (UNDERSTANDING, drawn) if task in results]
    if len(sides) < 2 or not all("yes_said" in side for side in sides):
        return ""
    gold, real, made = sides[0]["yes_gold"], sides[0]["yes_said"], sides[1]["yes_said"]
    said = f"said to {real.value:.0%} (real), {made.value:.0%} (drawn)"
    return f"yes/no questions: yes is right for {gold.value:.0%}, {said}"
