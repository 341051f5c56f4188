"""The leaderboard: models in rows, benchmarks in columns, the gap last; one table for each world and split."""

import math
from collections.abc import Sequence
from dataclasses import replace

from hermes.harness.system.errors import HermesError
from hermes.leaderboards.joined import BENCHMARK_GAP, Entry, Line, joined
from hermes.leaderboards.notes import labels, notes_of
from hermes.leaderboards.papers import paper_note
from hermes.leaderboards.read import Run
from hermes.leaderboards.same_rows import on_common_data
from hermes.leaderboards.tables import Cell, Column, Table, has_number, text_column
from hermes.leaderboards.titles import GAPS, WORLDS, digits, place, size, title


def boards(runs: Sequence[Run], deltas: bool = False, base: str | None = None) -> list[Table]:
    """One table for each (world, split). Deltas refer to the row whose label or run id is ``base``, else to the first.

    Raises HermesError where no run is called ``base``.
    """
    runs = on_common_data(runs)
    if base is not None and not any(base in (run.name, run.run_id) for run in runs):
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise HermesError(f"no run is called {base!r}; --base is one of: {names}")
    places = dict.fromkeys((result.data.world, run.split) for run in runs for result in run.results.values())
    return [
        _board(joined([run for run in runs if run.split == split], world), world, split, deltas, base)
        for world, split in places
    ]


def _board(lines: list[Line], world: str, split: str, deltas: bool, base: str | None) -> Table:
    names = sorted({name for line in lines for name in line.entries}, key=place)
    columns = [_column(name, lines) for name in names]
    origin = next((line for line in lines if base in (line.name, *line.run_ids)), None) if base else lines[0]
    called = labels(lines)
    notes = notes_of(lines)
    notes += dict.fromkeys(
        note
        for name in names
        for line in lines
        if (result := line.results.get(name)) and (note := paper_note(title(name), result))
    )
    cells: list[list[Cell]] = [
        [Cell(text=label), Cell(text=size(line.run.model.parameters)), Cell(text=_source(line))]
        for line, label in zip(lines, called, strict=True)
    ]
    for name, column in zip(names, columns, strict=True):
        ranked, comparable = _ranked(lines, name)
        if not comparable:
            also = "benchmarks, " if name == BENCHMARK_GAP else ""
            notes.append(f"{column.title}: the rows differ in {also}data, judge, protocol or version, so none is best.")
        values = [line.entries[name].metric.value for line in ranked]
        top = (min if column.better == "lower" else max)(values) if len(values) > 1 and comparable else None
        for line, row in zip(lines, cells, strict=True):
            cell = _cell(line.entries.get(name))
            if deltas and origin is not None and origin is not line:
                cell = replace(cell, delta=_delta(line.entries.get(name), origin.entries.get(name)))
            row.append(replace(cell, best=line in ranked and has_number(cell) and cell.value == top))
    where = WORLDS.get(world, world)
    return Table(
        title=f"{where[:1].upper()}{where[1:]}" + (f", split {split}" if world == "shapes" else ""),
        columns=(text_column("Model"), text_column("Params"), text_column("Source"), *columns),
        rows=tuple(tuple(row) for row in cells),
        caption=_caption(lines, names, columns),
        notes=tuple(notes),
    )


def _column(name: str, lines: Sequence[Line]) -> Column:
    if name in GAPS:
        return Column(GAPS[name], 3, "lower")
    return Column(title(name), digits(next(line.results[name] for line in lines if name in line.results)))


def _source(line: Line) -> str:
    """Where the row comes from: its runs, and who judged its images."""
    judges = dict.fromkeys(result.judge for result in line.results.values() if result.judge)
    return f"measured ({', '.join([*line.run_ids, *(f'judge {judge}' for judge in judges)])})"


def _ranked(lines: Sequence[Line], name: str) -> tuple[list[Line], bool]:
    """The lines with a number of a full measurement in this column, and whether their numbers may be ranked."""
    found = [
        line
        for line in lines
        if (entry := line.entries.get(name)) and not entry.partial and not math.isnan(entry.metric.value)
    ]
    return found, len({line.entries[name].terms for line in found}) < 2


def _cell(entry: Entry | None) -> Cell:
    if entry is None:
        return Cell()
    metric = entry.metric
    return Cell(metric.value, low=metric.low, high=metric.high, partial=entry.partial, source=entry.source)


def _delta(mine: Entry | None, start: Entry | None) -> float | None:
    """The difference on the same terms, of two full or two partial numbers; None where one of them is none."""
    if mine is None or start is None or (mine.terms, mine.partial) != (start.terms, start.partial):
        return None
    delta = mine.metric.value - start.metric.value
    return None if math.isnan(delta) else delta


def _caption(lines: Sequence[Line], names: Sequence[str], columns: Sequence[Column]) -> str:
    parts = []
    for name, column in zip(names, columns, strict=True):
        results = [line.results[name] for line in lines if name in line.results]
        if results:
            counts = sorted({result.n for result in results})
            n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            protocols = " or ".join(sorted({result.protocol for result in results}))
            parts.append(f"{column.title}: {results[0].headline}, {results[0].unit}, {protocols} protocol, n = {n}")
    return "; ".join(parts) + ". Higher is better; for gaps lower is better. Best of the full numbers in bold."
