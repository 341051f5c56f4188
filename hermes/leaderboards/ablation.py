"""Self-play round by round: U, G and the gap of each arm, averaged over seeds, like the paper's ablation."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hermes.harness.records.types import Metric
from hermes.leaderboards.read import History, Round
from hermes.leaderboards.tables import Cell, Column, Table, has_number, text_column
from hermes.leaderboards.titles import WORLDS

COLUMNS = (
    Column("U", 3),
    Column("G", 3),
    Column("Gap (U - G)", 3, "lower"),
    Column("G guided", 3),
    Column("Pairs", 0, better=None),
)


def ablation_tables(histories: Sequence[History]) -> list[Table]:
    """One table for each model and world: rows are objective x round, several seeds as mean and standard deviation."""
    groups: dict[tuple[str, str, str], list[History]] = defaultdict(list)
    for history in histories:
        groups[history.model.name, history.model.fingerprint, history.world].append(history)
    return [_table(model, world, members) for (model, _, world), members in groups.items()]


def _table(model: str, world: str, histories: list[History]) -> Table:
    groups = _by_objective(histories)
    rows = [
        _row(name, number, [(h, entry) for h in members for entry in h.rounds if entry.round == number])
        for name, members in sorted(groups.items())
        for number in sorted({entry.round for h in members for entry in h.rounds})
    ]
    if len({history.partial for history in histories}) == 1:
        rows = _with_best(rows)
    seeds = "; ".join(f"{name}: {len(members)} seed{'s' * (len(members) > 1)}" for name, members in groups.items())
    judges = ", ".join(sorted({judge for history in histories for judge in history.judges})) or "none"
    part = ", ".join(history.align_id for history in histories if history.partial)
    return Table(
        title=f"Self-play of {model}, {WORLDS.get(world, f'{world} world')}",
        columns=(text_column(_heading(histories)), text_column("Round"), text_column("Source"), *COLUMNS),
        rows=tuple(rows),
        caption=f"{seeds}. Judge: {judges}. Over several seeds: mean ± standard deviation. Best in bold; for the gap "
        "lower is better.",
        notes=(f"Evaluated on a part of the benchmark: {part}.",) if part else (),
    )


def _heading(histories: Sequence[History]) -> str:
    return "Objective" if all(history.name == history.objective for history in histories) else "Arm"


def _by_objective(histories: Sequence[History]) -> dict[str, list[History]]:
    """Self-plays that differ in their seed alone; those that share arm and seed differ in settings: one each."""
    groups: dict[str, list[History]] = defaultdict(list)
    for history in histories:
        groups[history.name].append(history)
    return {
        name if whole else f"{name} ({members[0].align_id})": members
        for name, found in groups.items()
        for whole in [len({history.seed for history in found}) == len(found)]
        for members in ([found] if whole else [[history] for history in found])
    }


def _row(objective: str, number: int, found: Sequence[tuple[History, Round]]) -> tuple[Cell, ...]:
    source = "measured (" + ", ".join(history.align_id for history, _ in found) + ")"
    metrics = ([entry.u for _, entry in found], [entry.g for _, entry in found], [entry.gap for _, entry in found])
    guided = [entry.g_guided for _, entry in found if entry.g_guided is not None]
    cells = [_over_seeds(values, source) for values in (*metrics, guided)]
    pairs = Cell(float(np.mean([entry.pairs for _, entry in found])), source=source) if number else Cell()
    name = f"{number} (base)" if number == 0 else str(number)
    return (Cell(text=objective), Cell(text=name), Cell(text=source), *cells, pairs)


def _over_seeds(metrics: Sequence[Metric], source: str) -> Cell:
    known = [metric for metric in metrics if not math.isnan(metric.value)]
    if not known:
        return Cell()
    if len(known) == 1:
        return Cell(known[0].value, low=known[0].low, high=known[0].high, source=source)
    values = [metric.value for metric in known]
    return Cell(float(np.mean(values)), spread=float(np.std(values, ddof=1)), source=f"{source}, {len(known)} seeds")


def _with_best(rows: list[tuple[Cell, ...]]) -> list[tuple[Cell, ...]]:
    best: dict[int, float] = {}
    for place, column in enumerate(COLUMNS, 3):
        values = [row[place].value for row in rows if has_number(row[place])]
        numbers = [value for value in values if value is not None]
        if column.better and len(numbers) > 1:
            best[place] = min(numbers) if column.better == "lower" else max(numbers)
    return [
        tuple(
            replace(cell, best=True) if place in best and cell.value == best[place] else cell
            for place, cell in enumerate(row)
        )
        for row in rows
    ]
