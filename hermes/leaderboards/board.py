"""The leaderboard: models in rows, the gap and the benchmarks in columns; one table for each world and split."""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.leaderboards.joined import Line, joined, part
from hermes.leaderboards.notes import labels, notes_of, sources_of
from hermes.leaderboards.papers import paper_note
from hermes.leaderboards.read import Run
from hermes.leaderboards.same_rows import on_common_data
from hermes.leaderboards.tables import Better, Cell, Column, Table, Told, text_column
from hermes.leaderboards.titles import (
    BENCHMARK_GAP,
    GAP,
    GAPS,
    HOMOLOGOUS,
    JOINT,
    SAME,
    UNDEFINED,
    WORLDS,
    digits,
    place,
    size,
    title,
)

PARAMS = text_column("Params", "params")


class Key(NamedTuple):
    """A column: a task, a metric of it ("" is the headline), and how it is titled and spelled where that is not as
    usual."""

    task: str
    metric: str = ""
    title: str = ""
    digits: int | None = None

    @property
    def entry(self) -> str:
        return part(self.task, self.metric) if self.metric else self.task


def boards(runs: Sequence[Run], keys: Sequence[Key] = (), heading: str = "", params_first: bool = False) -> list[Table]:
    """One table for each (world, split), without ranks; the columns are those of the keys, without them all tasks.

    ``heading`` stands before the world in each title.
    """
    runs = on_common_data(runs)
    places = dict.fromkeys((result.data.world, run.split) for run in runs for result in run.results.values())
    found = []
    for world, split in places:
        lines = joined([run for run in runs if run.split == split], world)
        found.append(_board(lines, _title(heading, world, split), keys, params_first))
    return [table for table in found if table.rows]


def _board(lines: list[Line], heading: str, keys: Sequence[Key], params_first: bool) -> Table:
    tasks = sorted({name for line in lines for name in (*line.results, *line.entries) if "\n" not in name}, key=place)
    shown = [key for key in keys or map(Key, tasks) if any(key.entry in line.entries for line in lines)]
    called = dict(zip(map(id, lines), labels(lines), strict=True))
    kept = [line for line in lines if any(key.entry in line.entries for key in shown)]
    columns = tuple(_column(key, lines) for key in shown)
    rows = []
    for line in kept:
        numbers = [_cell(line, key) for key in shown]
        params = Cell(text=size(line.run.model.parameters))
        label = Cell(text=called[id(line)], source=", ".join(line.run_ids))
        rows.append((label, params, *numbers) if params_first else (label, *numbers, params))

    def about(table: Table) -> Told:
        labelled, keys = {row[0].text for row in table.rows}, {column.key for column in table.columns}
        left = [line for line in kept if called[id(line)] in labelled]
        needed = [key.task for key, column in zip(shown, columns, strict=True) if column.key in keys]
        needed += HOMOLOGOUS if {GAP, *SAME} & {*needed} else ()
        names = [name for name in tasks if name in needed or BENCHMARK_GAP in needed]
        papers = dict.fromkeys(
            note
            for name in names
            for line in left
            if (result := line.results.get(name)) and (note := paper_note(title(name), result))
        )
        if not left:
            return (), ()
        return tuple(notes_of(left, names)), (_measured(left, names), *sources_of(left, called, names), *papers)

    return Table(
        title=heading,
        columns=(text_column("Model"), *((PARAMS, *columns) if params_first else (*columns, PARAMS))),
        rows=tuple(rows),
        caption=_caption([column for column in columns if column.better == "nearest"]),
        about=about,
    ).told()


def _title(heading: str, world: str, split: str) -> str:
    where = WORLDS.get(world, world) + (f", split {split}" if world == "shapes" else "")
    return f"{heading}, {where}" if heading else f"{where[:1].upper()}{where[1:]}"


def _column(key: Key, lines: Sequence[Line]) -> Column:
    if key.task in GAPS:
        return Column(key.title or GAPS[key.task], 3 if key.digits is None else key.digits, "nearest", key=key.task)
    if key.task in SAME:
        merit: Better | None = "higher" if key.task == JOINT else None  # Phi is none: both sides may fail together.
        return Column(key.title or SAME[key.task], 3 if key.digits is None else key.digits, merit, key=key.task)
    first = next(line.results[key.task] for line in lines if key.task in line.results)
    places = digits(first) if key.digits is None else key.digits
    better: Better = "nearest" if first.lower and key.metric in ("", first.headline) else "higher"
    name = f"{key.task}/{key.metric}" if key.metric else key.task
    return Column(key.title or title(key.task), places, better, key=name)


def _caption(nearest: Sequence[Column]) -> str:
    """Which numbers are better; ``nearest`` are the columns whose are the nearer they are to 0."""
    lower = [column.title for column in nearest if column.key not in GAPS]
    named = ["gaps"] * (len(lower) < len(nearest)) + lower
    return "Higher is better" + (f", {' and '.join(named)} nearer to 0." if named else ".")


def _cell(line: Line, key: Key) -> Cell:
    entry = line.entries.get(key.entry)
    if entry is None:
        return Cell(text=UNDEFINED if key.task in {**GAPS, **SAME} and line.run.gap.undefined else "")
    metric = entry.metric
    runs = ", ".join(dict.fromkeys(run.run_id for tasks in entry.seeds.values() for run in tasks.values()))
    source = f"measured ({runs}; n = {metric.n})"
    return Cell(metric.value, low=metric.low, high=metric.high, partial=entry.partial, source=source, origin=entry)


def _measured(lines: Sequence[Line], names: Sequence[str]) -> str:
    """What the headlines are, over how many answers, and under which protocol where that is not the official one."""
    parts = []
    for name in names:
        results = [line.results[name] for line in lines if name in line.results]
        if results:
            counts = sorted({result.n for result in results})
            n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            protocols = " or ".join(sorted({result.protocol for result in results}))
            under = "" if protocols == "official" else f", {protocols} protocol"
            parts.append(f"{title(name)}: {results[0].headline}, {results[0].unit}{under} (n = {n})")
    return "; ".join(parts) + "."
