"""Self-play round by round: U, G, the gap and the benchmarks of each arm, averaged over seeds, as in the ablation of
the paper."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hermes.harness.records.types import Metric
from hermes.leaderboards.benchmarks import described, level_column, measured
from hermes.leaderboards.joined import headline
from hermes.leaderboards.read import History, Round
from hermes.leaderboards.seeds import arms_of
from hermes.leaderboards.tables import Cell, Column, Table, has_number, text_column
from hermes.leaderboards.titles import WORLDS, guided_title

SIDES = (Column("U", 3), Column("G", 3), Column("Gap (U - G)", 3, "lower"))
PAIRS = Column("Pairs", 0, better=None)
Arms = Mapping[str, Sequence[History]]
Played = Sequence[tuple[History, Round]]  # The self-plays of an arm that have played a round, and that round.
LABELS = 3  # How many columns of text stand before the numbers.
APART = "Only whole self-plays whose settings, data, critic, judge and code agree are averaged as seeds of one arm."


def ablation_tables(histories: Sequence[History]) -> list[Table]:
    """For each model and world a table of the gap and, where benchmarks were evaluated beside it, one of these.

    Rows are objective x round, several seeds as mean and standard deviation.
    """
    groups: dict[tuple[str, str, str], list[History]] = defaultdict(list)
    for history in histories:
        groups[history.model.name, history.model.fingerprint, history.world].append(history)
    tables: list[Table] = []
    for (model, _, world), members in groups.items():
        arms = arms_of(_once(members))
        whose = f"{model}, {WORLDS.get(world, f'{world} world')}"
        tables.append(_table(f"Self-play of {whose}", arms, members))
        if measured(members):
            tables.append(_benchmarks(f"Benchmarks in self-play of {whose}", arms, members))
    return tables


def _table(heading: str, arms: Arms, histories: list[History]) -> Table:
    guided = list(dict.fromkeys(history.guided for history in histories if any(r.g_guided for r in history.rounds)))
    columns = (*SIDES, *(Column(guided_title(task), 3) for task in guided), PAIRS)
    rows = [_row(name, number, found, guided) for name, number, found in _found(arms)]
    seeds = "; ".join(f"{name}: {len(members)} seed{'s' * (len(members) > 1)}" for name, members in arms.items())
    judges = ", ".join(sorted({judge for history in histories for judge in history.judges})) or "none"
    part = ", ".join(history.align_id for history in histories if history.partial)
    notes = [APART] if len(arms) > len({history.name for history in histories}) else []
    return Table(
        title=heading,
        columns=(*_labels(histories), *columns),
        rows=tuple(_with_best(rows, columns)),
        caption=f"{seeds}. Judge: {judges}. Over several seeds: mean ± standard deviation. Best in bold; for the gap "
        "lower is better.",
        notes=(*notes, *([f"Evaluated on a part of the benchmark, and never best: {part}."] if part else [])),
    )


def _benchmarks(heading: str, arms: Arms, histories: Sequence[History]) -> Table:
    """The headline of each benchmark beside the gap; no row is best where they were measured on different terms."""
    results = measured(histories)
    columns = tuple(level_column(name, found) for name, found in results.items())
    rows = []
    for arm, number, found in _found(arms):
        row = list(_label(arm, number, found))
        source = row[-1].text
        for name in results:
            known = [one for history, _ in found if (one := history.result(number, name))]
            cell = _over_seeds([headline(one) for one in known], source)
            row.append(replace(cell, partial=any(one.partial for one in known)))
        rows.append(tuple(row))
    apart = ", ".join(column.title for column in columns if not column.better)
    return Table(
        title=heading,
        columns=(*_labels(histories), *columns),
        rows=tuple(_with_best(rows, columns)),
        caption=f"{described(results)} Over several seeds: mean ± standard deviation. Best in bold.",
        notes=(f"The rows differ in data, judge, protocol or version, so none is best: {apart}.",) if apart else (),
    )


def _found(arms: Arms) -> Iterator[tuple[str, int, Played]]:
    """Each arm's rounds, and the self-plays that have played them."""
    for name, members in sorted(arms.items()):
        for number in sorted({entry.round for history in members for entry in history.rounds}):
            yield name, number, [(h, entry) for h in members for entry in h.rounds if entry.round == number]


def _labels(histories: Sequence[History]) -> tuple[Column, ...]:
    named = "Objective" if all(history.name == history.objective for history in histories) else "Arm"
    return text_column(named), text_column("Round"), text_column("Source")


def _once(histories: Sequence[History]) -> list[History]:
    """Of copies of one self-play the one that has come furthest."""
    found: dict[str, History] = {}
    for history in histories:
        known = found.setdefault(history.align_id, history)
        if len(history.rounds) > len(known.rounds):
            found[history.align_id] = history
    return list(found.values())


def _row(arm: str, number: int, found: Played, guided: Sequence[str]) -> tuple[Cell, ...]:
    label = _label(arm, number, found)
    partial = any(history.partial for history, _ in found)
    sides = [[entry.u for _, entry in found], [entry.g for _, entry in found], [entry.gap for _, entry in found]]
    sides += [[e.g_guided for history, e in found if e.g_guided and history.guided == task] for task in guided]
    cells = [replace(_over_seeds(values, label[-1].text), partial=partial) for values in sides]
    pairs = Cell(float(np.mean([entry.pairs for _, entry in found])), source=label[-1].text) if number else Cell()
    return (*label, *cells, pairs)


def _label(arm: str, number: int, found: Played) -> tuple[Cell, ...]:
    name = f"{number} (base)" if number == 0 else str(number)
    source = "measured (" + ", ".join(history.align_id for history, _ in found) + ")"
    return Cell(text=arm), Cell(text=name), Cell(text=source)


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
