"""The leaderboard: models in rows, benchmarks in columns, the gap last; one table for each world and split."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hermes.harness.errors import HermesError
from hermes.harness.types import Metric, Result
from hermes.leaderboards.papers import paper_note
from hermes.leaderboards.read import Run
from hermes.leaderboards.tables import Cell, Column, Table, has_number, text_column

TITLES = {
    "pope": "POPE",
    "mme": "MME",
    "flickr30k": "Flickr30k",
    "vqav2": "VQAv2",
    "gqa": "GQA",
    "mmmu": "MMMU",
    "geneval": "GenEval",
    "dpg_bench": "DPG-Bench",
    "pope-8910": "POPE (LLaVA's 8,910)",
    "flickr30k-1k": "Flickr30k (Karpathy 1K)",
    "vqav2-testdev": "VQAv2 (test-dev)",
    "tifa": "TIFA",
    "homologous-u": "U",
    "homologous-g": "G",
}
ORDER = tuple(TITLES)
HOMOLOGOUS = ("homologous-u", "homologous-g")
BENCHMARK_GAP, GAP = "gap over benchmarks", "gap"
WORLDS = {"shapes": "shapes world (built in)", "real": "real data"}


@dataclass(frozen=True)
class Entry:
    """One number of one run; numbers may be ranked against each other only where ``terms`` are the same."""

    metric: Metric
    partial: bool
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """What one run has in one world."""

    run: Run
    entries: dict[str, Entry]
    columns: dict[str, Column]

    @property
    def partial(self) -> bool:
        return any(entry.partial for entry in self.entries.values())


def boards(runs: Sequence[Run], deltas: bool = False, base: str | None = None) -> list[Table]:
    """One table for each (world, split). Deltas refer to the row whose label or run id is ``base``, else to the first.

    Raises HermesError where no run is called ``base``.
    """
    if base is not None and not any(base in (run.name, run.run_id) for run in runs):
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise HermesError(f"no run is called {base!r}; --base is one of: {names}")
    places = dict.fromkeys((result.data.world, run.split) for run in runs for result in run.results.values())
    return [_board([line for run in runs if (line := _line(run, *place))], *place, deltas, base) for place in places]


def _line(run: Run, world: str, split: str) -> Line | None:
    results = {name: result for name, result in run.results.items() if result.data.world == world}
    if run.split != split or not results:
        return None
    entries = {name: _entry(result) for name, result in results.items()}
    columns = {name: Column(title(name), digits(result)) for name, result in results.items()}
    for side, name in zip(("u", "g"), HOMOLOGOUS, strict=True):
        if run.gap.homologous and name in entries:
            entries[name] = replace(entries[name], metric=getattr(run.gap.homologous, side))
    if run.gap.homologous and set(HOMOLOGOUS) <= set(entries):
        entries[GAP] = _joined(run.gap.homologous.gap, [entries[name] for name in HOMOLOGOUS])
        columns[GAP] = Column("Gap (U - G)", 3, "lower")
    if run.gap.benchmarks and {*run.gap.benchmarks.understanding, *run.gap.benchmarks.generation} <= set(entries):
        names = (*run.gap.benchmarks.understanding, *run.gap.benchmarks.generation)
        entries[BENCHMARK_GAP] = _joined(run.gap.benchmarks.gap, [entries[name] for name in names], names)
        columns[BENCHMARK_GAP] = Column("Benchmark gap", 3, "lower")
    return Line(run, entries, columns)


def _entry(result: Result) -> Entry:
    metric = result.metrics.get(result.headline, Metric(value=math.nan))
    terms = (result.version, result.protocol, result.judge or "", result.data.fingerprint, result.headline)
    return Entry(metric, result.partial, terms)


def _joined(metric: Metric, parts: Sequence[Entry], names: Iterable[str] = ()) -> Entry:
    terms = (*names, *(term for part in parts for term in part.terms))
    return Entry(metric, any(part.partial for part in parts), terms)


def title(task: str) -> str:
    """``homologous-g@guidance_scale=1.5`` is ``G (guidance scale 1.5)``."""
    name, _, overrides = task.partition("@")
    spelled = overrides.replace("_", " ").replace("=", " ")
    return TITLES.get(name, name) + (f" ({spelled})" if spelled else "")


def digits(result: Result) -> int:
    """Three digits for fractions, one for percent and points."""
    return 3 if result.best <= 1 else 1


def _board(lines: list[Line], world: str, split: str, deltas: bool, base: str | None) -> Table:
    lines.sort(key=lambda line: line.partial)
    names = sorted({name for line in lines for name in line.entries}, key=_place)
    columns = [next(line.columns[name] for line in lines if name in line.columns) for name in names]
    origin = next((line for line in lines if base in (line.run.name, line.run.run_id)), lines[0] if not base else None)
    notes = [note for line in lines for note in _trouble(line)]
    notes += dict.fromkeys(
        note
        for name in names
        for line in lines
        if (result := line.run.results.get(name)) and (note := paper_note(title(name), result))
    )
    cells: list[list[Cell]] = [
        [Cell(text=label), Cell(text=size(line.run.model.parameters)), Cell(text=_source(line))]
        for line, label in zip(lines, labels(lines), strict=True)
    ]
    for name, column in zip(names, columns, strict=True):
        ranked, comparable = _ranked(lines, name)
        if not comparable:
            notes.append(f"{column.title}: the rows differ in data, judge, protocol or version, so none is best.")
        values = [line.entries[name].metric.value for line in ranked]
        top = (min if column.better == "lower" else max)(values) if len(values) > 1 and comparable else None
        for line, row in zip(lines, cells, strict=True):
            cell = _cell(line, name)
            start = origin.entries.get(name) if deltas and origin is not line and origin else None
            mine = line.entries.get(name)
            if start and mine and start.terms == mine.terms:
                delta = mine.metric.value - start.metric.value
                cell = replace(cell, delta=delta if delta == delta else None)
            row.append(replace(cell, best=line in ranked and has_number(cell) and cell.value == top))
    place = WORLDS.get(world, world)
    return Table(
        title=f"{place[:1].upper()}{place[1:]}" + (f", split {split}" if world == "shapes" else ""),
        columns=(text_column("Model"), text_column("Params"), text_column("Source"), *columns),
        rows=tuple(tuple(row) for row in cells),
        caption=_caption(lines, names, columns),
        notes=tuple(notes),
    )


def _source(line: Line) -> str:
    """Where the row comes from: the run, and who judged its images."""
    results = [line.run.results[name] for name in line.entries if name in line.run.results]
    judges = dict.fromkeys(result.judge for result in results if result.judge)
    return f"measured ({', judge '.join([line.run.run_id, *judges])})"


def _place(name: str) -> tuple[float, str]:
    if name in (BENCHMARK_GAP, GAP):
        return len(ORDER) + 1 + (name == GAP), name
    plain = name.partition("@")[0]
    return ORDER.index(plain) if plain in ORDER else ORDER.index(HOMOLOGOUS[0]) - 0.5, name


def _ranked(lines: Sequence[Line], name: str) -> tuple[list[Line], bool]:
    """The full lines with a number in this column, and whether their numbers may be ranked."""
    found = [
        line
        for line in lines
        if not line.partial and name in line.entries and not math.isnan(line.entries[name].metric.value)
    ]
    return found, len({line.entries[name].terms for line in found}) < 2


def _cell(line: Line, name: str) -> Cell:
    entry = line.entries.get(name)
    if entry is None:
        return Cell()
    metric = entry.metric
    source = f"measured (run {line.run.run_id}, n = {metric.n})"
    return Cell(metric.value, low=metric.low, high=metric.high, source=source)


def labels(lines: Sequence[Line]) -> list[str]:
    """Row labels, told apart by seed or run id where they would be the same, and marked where partial."""
    found = []
    for line in lines:
        same = [other for other in lines if other.run.name == line.run.name]
        label = line.run.name
        if len(same) > 1:
            seeds = {other.run.seed for other in same}
            label += f" (seed {line.run.seed})" if len(seeds) == len(same) else f" ({line.run.run_id})"
        found.append(label + (" (partial)" if line.partial else ""))
    return found


def size(parameters: int) -> str:
    """``1.3B``, ``865M``, ``12.4K``; empty where unknown."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters) if parameters else ""


def _caption(lines: Sequence[Line], names: Sequence[str], columns: Sequence[Column]) -> str:
    parts = []
    for name, column in zip(names, columns, strict=True):
        results = [line.run.results[name] for line in lines if name in line.run.results]
        if results:
            counts = sorted({result.n for result in results})
            n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            protocols = " or ".join(sorted({result.protocol for result in results}))
            parts.append(f"{column.title}: {results[0].headline}, {results[0].unit}, {protocols} protocol, n = {n}")
    return "; ".join(parts) + ". Higher is better; for gaps lower is better. Best of the full runs in bold."


def _trouble(line: Line) -> list[str]:
    """One note for a run that is partial, and one for answers that could not be read or failed."""
    notes = []
    short = {name: entry for name, entry in line.entries.items() if entry.partial and name in line.run.results}
    if short:
        counts = ", ".join(
            f"{title(name)} {line.run.results[name].n} of {line.run.results[name].n_expected}" for name in short
        )
        notes.append(f"{line.run.name} ({line.run.run_id}) is partial and not ranked: {counts}.")
    for key, word in (("unparsed", "unparsed"), ("error", "errors")):
        counted = {name: line.run.results[name].counts.get(key, 0) for name in line.entries if name in line.run.results}
        listed = ", ".join(f"{title(name)} {count}" for name, count in counted.items() if count)
        if listed:
            notes.append(f"{line.run.name} ({line.run.run_id}), {word}: {listed}.")
    return notes
