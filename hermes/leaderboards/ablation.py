"""Self-play round by round: U, G and the gap of each arm, averaged over seeds, like the paper's ablation."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hermes.harness.records.types import Metric
from hermes.leaderboards.read import History, Round
from hermes.leaderboards.seeds import arms_of
from hermes.leaderboards.tables import Cell, Column, Table, has_number, text_column
from hermes.leaderboards.titles import WORLDS, guided_title

SIDES = (Column("U", 3), Column("G", 3), Column("Gap (U - G)", 3, "lower"))
PAIRS = Column("Pairs", 0, better=None)
LABELS = 3  # How many columns of text stand before the numbers.
APART = "Only whole self-plays whose settings, data, critic, judge and code agree are averaged as seeds of one arm."


def ablation_tables(histories: Sequence[History]) -> list[Table]:
    """One table for each model and world: rows are objective x round, several seeds as mean and standard deviation."""
    groups: dict[tuple[str, str, str], list[History]] = defaultdict(list)
    for history in histories:
        groups[history.model.name, history.model.fingerprint, history.world].append(history)
    return [_table(model, world, members) for (model, _, world), members in groups.items()]


def _table(model: str, world: str, histories: list[History]) -> Table:
    arms = arms_of(_once(histories))
    guided = list(dict.fromkeys(history.guided for history in histories if any(r.g_guided for r in history.rounds)))
    columns = (*SIDES, *(Column(guided_title(task), 3) for task in guided), PAIRS)
    rows = [
        _row(name, number, [(h, entry) for h in members for entry in h.rounds if entry.round == number], guided)
        for name, members in sorted(arms.items())
        for number in sorted({entry.round for h in members for entry in h.rounds})
    ]
    seeds = "; ".join(f"{name}: {len(members)} seed{'s' * (len(members) > 1)}" for name, members in arms.items())
    judges = ", ".join(sorted({judge for history in histories for judge in history.judges})) or "none"
    part = ", ".join(history.align_id for history in histories if history.partial)
    notes = [APART] if len(arms) > len({history.name for history in histories}) else []
    return Table(
        title=f"Self-play of {model}, {WORLDS.get(world, f'{world} world')}",
        columns=(text_column(_heading(histories)), text_column("Round"), text_column("Source"), *columns),
        rows=tuple(_with_best(rows, columns)),
        caption=f"{seeds}. Judge: {judges}. Over several seeds: mean ± standard deviation. Best in bold; for the gap "
        "lower is better.",
        notes=(*notes, *([f"Evaluated on a part of the benchmark, and never best: {part}."] if part else [])),
    )


def _heading(histories: Sequence[History]) -> str:
    return "Objective" if all(history.name == history.objective for history in histories) else "Arm"


def _once(histories: Sequence[History]) -> list[History]:
    """Of copies of one self-play the one that has come furthest."""
    found: dict[str, History] = {}
    for history in histories:
        known = found.setdefault(history.align_id, history)
        if len(history.rounds) > len(known.rounds):
            found[history.align_id] = history
    return list(found.values())


def _row(arm: str, number: int, found: Sequence[tuple[History, Round]], guided: Sequence[str]) -> tuple[Cell, ...]:
    source = "measured (" + ", ".join(history.align_id for history, _ in found) + ")"
    partial = any(history.partial for history, _ in found)
    sides = [[entry.u for _, entry in found], [entry.g for _, entry in found], [entry.gap for _, entry in found]]
    sides += [[e.g_guided for history, e in found if e.g_guided and history.guided == task] for task in guided]
    cells = [replace(_over_seeds(values, source), partial=partial) for values in sides]
    pairs = Cell(float(np.mean([entry.pairs for _, entry in found])), source=source) if number else Cell()
    name = f"{number} (base)" if number == 0 else str(number)
    return (Cell(text=arm), Cell(text=name), Cell(text=source), *cells, pairs)


def _over_seeds(metrics: Sequence[Metric], source: str) -> Cell:
    known = [metric for metric in metrics if not math.isnan(metric.value)]
    if not known:
        return Cell()
    if len(known) == 1:
        return Cell(known[0].value, low=known[0].low, high=known[0].high, source=source)
    values = [metric.value for metric in known]
    return Cell(float(np.mean(values)), spread=float(np.std(values, ddof=1)), source=f"{source}, {len(known)} seeds")


def _with_best(rows: list[tuple[Cell, ...]], columns: Sequence[Column]) -> list[tuple[Cell, ...]]:
    best: dict[int, float] = {}
    for place, column in enumerate(columns, LABELS):
        values = [row[place].value for row in rows if has_number(row[place]) and not row[place].partial]
        numbers = [value for value in values if value is not None]
        if column.better and len(numbers) > 1:
            best[place] = min(numbers) if column.better == "lower" else max(numbers)
    return [
        tuple(
            replace(cell, best=True) if place in best and cell.value == best[place] and not cell.partial else cell
            for place, cell in enumerate(row)
        )
        for row in rows
    ]
