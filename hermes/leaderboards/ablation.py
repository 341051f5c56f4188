"""Self-play round by round: U, G, the gap and the benchmarks of each arm, averaged over seeds, as in the ablation of
the paper."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hermes.harness.records.types import Metric
from hermes.leaderboards.benchmarks import described, measured
from hermes.leaderboards.guidance import guided_task, said_of, way_of
from hermes.leaderboards.origins import Kind, Measured, Reader, homologous
from hermes.leaderboards.read import History, Round, Run
from hermes.leaderboards.seeds import arms_of
from hermes.leaderboards.tables import Cell, Column, Table, Told, text_column
from hermes.leaderboards.terms import Terms, headline
from hermes.leaderboards.titles import (
    GAP,
    GAPS,
    HOMOLOGOUS,
    JOINT,
    PHI,
    SAME,
    UNDEFINED,
    WORLDS,
    counted,
    digits,
    title,
)

SIDES: tuple[tuple[Kind, Column], ...] = (
    ("gap", Column(GAPS[GAP], 3, "nearest", key=GAP)),
    ("joint", Column(SAME[JOINT], 3, key=JOINT)),
    ("phi", Column(SAME[PHI], 3, None, key=PHI)),
    ("u", Column("U", 3, key=HOMOLOGOUS[0])),
    ("g", Column("G", 3, key=HOMOLOGOUS[1])),
)
KINDS: dict[str, Kind] = {kind: kind for kind, _ in SIDES}
ALONE = dict(zip("ug", HOMOLOGOUS, strict=True))
"""The task of which U or G is the number where a model has it alone."""
PAIRS = Column("Pairs", 0, better=None, key="pairs")
Arms = Mapping[str, Sequence[History]]
Played = Sequence[tuple[History, Round]]  # The self-plays of an arm that have played a round, and that round.
LABELS = 2  # How many columns of text stand before the numbers.
APART = "Only whole self-plays whose settings, data, critic, judge and code agree are averaged as seeds of one arm."


def ablation_tables(histories: Sequence[History], together: bool = False) -> list[Table]:
    """For each model and world a table of the gap and, where benchmarks were evaluated beside it, one of these.

    Rows are objective x round, several seeds as mean and standard deviation, without ranks. ``together`` makes one
    table of both.
    """
    groups: dict[tuple[str, str, str], list[History]] = defaultdict(list)
    for history in histories:
        groups[history.model.name, history.model.fingerprint, history.world].append(history)
    tables: list[Table] = []
    for (model, _, world), members in groups.items():
        arms, reader = arms_of(_once(members)), Reader()
        whose = f"{model}, {WORLDS.get(world, f'{world} world')}"
        gaps = _table(f"Self-play of {whose}", arms, members, reader)
        if not measured(members):
            tables.append(gaps)
            continue
        beside = _benchmarks(f"Benchmarks in self-play of {whose}", arms, members, reader)
        tables += [_joined(gaps, beside)] if together else [gaps, beside]
    return tables


def _joined(gaps: Table, beside: Table) -> Table:
    """One table of both, the numbers of the benchmarks after those of the gap."""
    return replace(
        gaps,
        columns=(*gaps.columns, *beside.columns[LABELS:]),
        rows=tuple((*one, *more[LABELS:]) for one, more in zip(gaps.rows, beside.rows, strict=True)),
        about=lambda table: _merged(gaps.about(table), beside.about(table)),
    ).told()


def _merged(one: Told, other: Told) -> Told:
    notes, sources = (tuple(dict.fromkeys((*mine, *more))) for mine, more in zip(one, other, strict=True))
    return notes, sources


def _table(heading: str, arms: Arms, histories: list[History], reader: Reader) -> Table:
    ways = {
        way.key: way for history in histories if any(r.g_guided for r in history.rounds) for way in [way_of(history)]
    }
    guided = tuple(ways)
    columns = (
        *(column for _, column in SIDES),
        *(Column(way.title, 3, key=key) for key, way in ways.items()),
        PAIRS,
    )
    rows = [_row(name, number, found, guided, reader) for name, number, found in _found(arms)]

    def about(table: Table) -> Told:
        left = _left(arms, table)
        members = [history for some in left.values() for history in some]
        judges = ", ".join(sorted({judge for history in members for judge in history.judges})) or "none"
        part = ", ".join(history.align_id for history in members if history.partial)
        notes = [APART] if len(left) > len({history.name for history in members}) else []
        notes += [f"Evaluated on a part of the benchmark, and never best: {part}."] if part else []
        notes += said_of(map(way_of, members)) if any(column.key in ways for column in table.columns) else []
        notes += [f"The gap is undefined: the model {lacks}." for lacks in {one.undefined for one in members} if lacks]
        return (*notes, *_behind(arms, table)), (*_sources(left), f"Judge: {judges}.")

    return Table(
        title=heading,
        columns=(*_labels(histories), *columns),
        rows=tuple(rows),
        caption=_caption(arms, "Higher is better, gaps nearer to 0."),
        labels=LABELS,
        about=about,
    ).told()


def _benchmarks(heading: str, arms: Arms, histories: Sequence[History], reader: Reader) -> Table:
    """The headline of each benchmark beside the gap."""
    results = measured(histories)
    rows = []
    for arm, number, found in _found(arms):
        cells = []
        for name in results:
            known = [(history, one) for history, _ in found if (one := history.result(number, name))]
            partial = any(one.partial for _, one in known)
            cells.append(_number([(h, headline(one)) for h, one in known], number, _always(name), reader, partial))
        rows.append((*_label(arm, number, found), *cells))

    def about(table: Table) -> Told:
        keys = {column.key for column in table.columns}
        shown = {name: some for name, some in results.items() if name in keys}
        return tuple(_behind(arms, table)), (*_sources(_left(arms, table)), *([described(shown)] if shown else []))

    return Table(
        title=heading,
        columns=(
            *_labels(histories),
            *(Column(title(name), digits(one), key=name) for name, (one, *_) in results.items()),
        ),
        rows=tuple(rows),
        caption=_caption(arms, "Higher is better."),
        labels=LABELS,
        about=about,
    ).told()


def _caption(arms: Arms, better: str) -> str:
    several = any(len(members) > 1 for members in arms.values())
    return f"Over several seeds: mean ± standard deviation. {better}" if several else better


def _sources(arms: Arms) -> list[str]:
    """Which self-plays each arm is made of."""
    found = (
        f"{name} ({', '.join(member.align_id for member in members)}; {counted(len(members), 'seed')})"
        for name, members in sorted(arms.items())
    )
    return [f"Measured: {'; '.join(found)}."]


def _left(arms: Arms, table: Table) -> Arms:
    """The arms that have rows in the table."""
    shown = {row[0].text for row in table.rows}
    return {name: members for name, members in arms.items() if name in shown}


def _behind(arms: Arms, table: Table) -> Iterator[str]:
    """Which of the table's rounds not all seeds of an arm have played."""
    shown = {(row[0].text, row[1].text) for row in table.rows}
    for name, number, played in _found(arms):
        if len(played) < len(arms[name]) and (name, _called(number)) in shown:
            yield f"{name}, round {number}: of {', '.join(history.align_id for history, _ in played)} alone."


def _found(arms: Arms) -> Iterator[tuple[str, int, Played]]:
    """Each arm's rounds, and the self-plays that have played them."""
    for name, members in sorted(arms.items()):
        for number in sorted({entry.round for history in members for entry in history.rounds}):
            yield name, number, [(h, entry) for h in members for entry in h.rounds if entry.round == number]


def _labels(histories: Sequence[History]) -> tuple[Column, ...]:
    named = "Objective" if all(history.name == history.objective for history in histories) else "Arm"
    return text_column(named), text_column("Round")


def _once(histories: Sequence[History]) -> list[History]:
    """Of copies of one self-play the one that has come furthest."""
    found: dict[str, History] = {}
    for history in histories:
        known = found.setdefault(history.align_id, history)
        if len(history.rounds) > len(known.rounds):
            found[history.align_id] = history
    return list(found.values())


def _row(arm: str, number: int, found: Played, guided: Sequence[str], reader: Reader) -> tuple[Cell, ...]:
    label = _label(arm, number, found)
    part = any(history.partial for history, _ in found)
    cells = []
    for kind, _ in SIDES:
        known = [(h, metric) for h, entry in found if (metric := getattr(entry, kind))]
        cells.append(_number(known, number, _always(kind), reader, part))
    if all(history.undefined for history, _ in found):
        cells[0] = Cell(text=UNDEFINED)
    entries = {history.align_id: entry for history, entry in found}
    for key in guided:
        known = [(h, entry.g_guided) for h, entry in found if entry.g_guided and way_of(h).key == key]
        cells.append(_number(known, number, lambda h: guided_task(h, entries[h.align_id]), reader, part))
    pairs = Cell(float(np.mean([entry.pairs for _, entry in found]))) if number else Cell()
    return (*label, *cells, pairs)


def _label(arm: str, number: int, found: Played) -> tuple[Cell, ...]:
    return Cell(text=arm, source=", ".join(history.align_id for history, _ in found)), Cell(text=_called(number))


def _called(number: int) -> str:
    return f"{number} (base)" if number == 0 else str(number)


def _always(name: str) -> Callable[[History], str]:
    return lambda _: name


def _number(
    found: Sequence[tuple[History, Metric]], number: int, what: Callable[[History], str], reader: Reader, partial: bool
) -> Cell:
    """The mean over seeds of a round's side of the gap, or of a task's headline; ``what`` a self-play calls it."""
    known = [(history, metric) for history, metric in found if not math.isnan(metric.value)]
    if not known:
        return Cell()
    cell = averaged([metric for _, metric in known])
    mean = Metric(value=cell.value or 0.0, low=cell.low, high=cell.high)
    runs = {
        history.seed: (what(history), history.evaluations[number])
        for history, _ in known
        if number in history.evaluations
    }
    return replace(
        cell,
        partial=partial,
        source=f"measured ({', '.join(history.align_id for history, _ in known)})",
        # A round whose evaluation is gone is known by its numbers alone, and not ranked.
        origin=_origin(mean, partial, runs, reader) if len(runs) == len(known) else None,
    )


def averaged(metrics: Sequence[Metric]) -> Cell:
    """The mean of one metric or more, which are numbers, with the standard deviation; of one its interval."""
    values = [metric.value for metric in metrics]
    if len(metrics) == 1:
        return Cell(values[0], low=metrics[0].low, high=metrics[0].high)
    return Cell(float(np.mean(values)), spread=float(np.std(values, ddof=1)))


def _origin(mean: Metric, partial: bool, runs: Mapping[int, tuple[str, Run]], reader: Reader) -> Measured | None:
    """What the number was measured on, from what it is called and the run that it is from, by seed."""
    what, first = next(iter(runs.values()))
    if what in KINDS and not first.gap.undefined:
        return homologous(reader, KINDS[what], mean, partial, {seed: run for seed, (_, run) in runs.items()})
    tasks = {seed: (ALONE.get(name, name), run) for seed, (name, run) in runs.items()}
    if not all(name in run.results for name, run in tasks.values()):
        return None
    terms = (Terms.of(first.results[ALONE.get(what, what)]),)
    return Measured(reader, "task", mean, partial, terms, {seed: {name: run} for seed, (name, run) in tasks.items()})
