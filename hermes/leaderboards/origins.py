"""What a number was measured on, and how far it is from another: answer by answer where the answers are there.

A number is the mean over the seeds of an arm, or one run's alone. Where scores are missing, or do not make the number
that results.json has, two numbers of one run each are held against each other by their own intervals, as if they were
independent: that is too wide for answers about the same items, so nothing is called different that is not.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from hermes.harness.records.agreement import Table, counts, joint_difference, phi_difference
from hermes.harness.records.stats import sum_metric
from hermes.harness.records.types import Metric
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.paired import difference
from hermes.leaderboards.plays import Items, sides_of, table_of
from hermes.leaderboards.read import Run, score_files
from hermes.leaderboards.shifts import Benchmark, shift
from hermes.leaderboards.terms import Terms, why_unlike

Kind = Literal["task", "u", "g", "gap", "joint", "phi", "across"]
DIFFERENCES = {"joint": joint_difference, "phi": phi_difference}
Tasks = Mapping[str, Run]  # The run that each task of a number is from.


class Reader:
    """Reads each file of scores once for all numbers of a table."""

    def __init__(self) -> None:
        self._benchmarks: dict[tuple[Path, str, str], Benchmark] = {}
        self._sides: dict[Path, tuple[Items, Items]] = {}
        self._tables: dict[Path, Table] = {}

    def benchmark(self, run: Run, task: str, category: str) -> Benchmark:
        """A task of a run. Raises HermesError where its scores are not there."""
        key = run.path, task, category
        if key not in self._benchmarks:
            files = score_files(run.path)
            if task not in files or not files[task].is_file():
                raise HermesError(f"{run.path} holds no scores of {task}; score the run again")
            self._benchmarks[key] = Benchmark(run.results[task], files[task], category)
        return self._benchmarks[key]

    def sides(self, run: Run) -> tuple[Items, Items]:
        """U and G of a run by item. Raises as `sides_of`."""
        if run.path not in self._sides:
            self._sides[run.path] = sides_of(run.path)
        return self._sides[run.path]

    def table(self, run: Run) -> Table:
        """The 2 x 2 of a run by question. Raises as `table_of`."""
        if run.path not in self._tables:
            self._tables[run.path] = table_of(run.path)
        return self._tables[run.path]


@dataclass(frozen=True)
class Difference:
    """``paired``: taken item by item, and not from the two numbers' own intervals."""

    metric: Metric
    paired: bool


@dataclass(frozen=True)
class Measured:
    """What a number was measured on.

    ``kind`` is "task" for a metric of a result, "u", "g" and "gap" for the paired homologous ones, "joint" and "phi"
    for those of their questions, "across" for the gap over benchmarks. ``metric`` is the number itself, ``category``
    the metric's name, "" for the headline. ``seeds`` has the runs of each seed of an arm; a number of one run stands
    under 0. ``sides`` are the benchmarks of either side of the gap over benchmarks.
    """

    reader: Reader = field(compare=False, repr=False)
    kind: Kind
    metric: Metric
    partial: bool
    terms: tuple[Terms, ...]
    seeds: Mapping[int, Tasks]
    category: str = ""
    sides: tuple[Sequence[str], Sequence[str]] = ((), ())

    def why_not(self, base: "Measured") -> str:
        """Why the two cannot be compared; "" where they can."""
        if self.partial != base.partial:
            return "a partial number" if self.partial else "compared with a partial number"
        seeds = set(self.seeds) != set(base.seeds) and max(len(self.seeds), len(base.seeds)) > 1
        said = [f"seeds {_numbers(self.seeds)}, not {_numbers(base.seeds)}"] if seeds else []
        return "; ".join(filter(None, [*said, why_unlike(self.terms, base.terms)]))

    def minus(self, base: "Measured") -> Difference | None:
        """The number less the base's, of those that can be compared; None where nothing is known of it."""
        seeds = sorted(self.seeds.keys() & base.seeds.keys())
        try:
            paired = self._paired([(base.seeds[seed], self.seeds[seed]) for seed in seeds]) if seeds else None
        except HermesError:  # Answers that are gone, or that this version cannot read.
            paired = None
        if paired is not None and math.isfinite(paired.value):
            return Difference(paired, paired=True)
        if max(len(self.seeds), len(base.seeds)) > 1:
            return None
        apart = sum_metric([self.metric, base.metric], [1.0, -1.0])
        return Difference(apart, paired=False) if math.isfinite(apart.value) else None

    def _paired(self, runs: Sequence[tuple[Tasks, Tasks]]) -> Metric | None:
        if self.kind == "task":
            return self._shift([(_only(before), _only(after)) for before, after in runs])
        if self.kind == "across":
            return self._across(runs)
        if self.kind in DIFFERENCES:
            return self._agreement(runs, DIFFERENCES[self.kind])
        values = [(before, after) for a, b in runs if (before := self._items(a)) and (after := self._items(b))]
        return difference(values) if len(values) == len(runs) else None

    def _shift(self, runs: Sequence[tuple[tuple[str, Run], tuple[str, Run]]]) -> Metric | None:
        """That of a task, which may be called otherwise in each run, as G under a guidance is."""
        found = [[self.reader.benchmark(run, task, self.category) for task, run in pair] for pair in runs]
        moved = shift([(before, after) for before, after in found])
        return moved.metric if moved and moved.metric.groups else None

    def _across(self, runs: Sequence[tuple[Tasks, Tasks]]) -> Metric | None:
        """The sides' paired differences, each brought to 0..1, taken as independent of each other."""
        parts, weights = [], []
        for sign, names in zip((1.0, -1.0), self.sides, strict=True):
            for name in names:
                moved = self._shift([((name, before[name]), (name, after[name])) for before, after in runs])
                result = runs[0][1][name].results[name]
                if moved is None:
                    return None
                parts.append(moved)
                weights.append(sign / len(names) / (result.best - result.chance))
        return sum_metric(parts, weights)

    def _agreement(
        self, runs: Sequence[tuple[Tasks, Tasks]], difference_of: Callable[[Sequence[Table], Sequence[Table]], Metric]
    ) -> Metric | None:
        """The difference over the questions that all runs have; None where the scores do not make what a run has."""
        found = [[self._table(side[UNDERSTANDING]) for side in pair] for pair in runs]
        if not all(table for pair in found for table in pair):
            return None
        before, after = zip(*found, strict=True)
        return difference_of(before, after)

    def _table(self, run: Run) -> Table:
        """The cells by question; none where they do not make what the run has."""
        told, table = run.gap.homologous, self.reader.table(run)
        return table if told and told.counts == counts(table) else {}

    def _items(self, tasks: Tasks) -> Items | None:
        """The values by item; None where they do not make what the run has."""
        run = tasks[UNDERSTANDING]
        told = run.gap.homologous
        u, g = self.reader.sides(run)
        made = (fmean(u.values()), fmean(g.values())) if u else (math.nan, math.nan)
        if told is None or not all(math.isclose(a, b.value) for a, b in zip(made, (told.u, told.g), strict=True)):
            return None
        return {"u": u, "g": g, "gap": {item: u[item] - g[item] for item in u}}[self.kind]


def _only(tasks: Tasks) -> tuple[str, Run]:
    """The one task that there is."""
    ((name, run),) = tasks.items()
    return name, run


def _numbers(seeds: Iterable[int]) -> str:
    return " and ".join(map(str, sorted(seeds)))


def homologous(reader: Reader, kind: Kind, metric: Metric, partial: bool, seeds: Mapping[int, Run]) -> Measured:
    """U, G, the gap, J or phi of runs that have both sides."""
    both = (UNDERSTANDING, GENERATION)
    first = next(iter(seeds.values()))
    of = {"u": both[:1], "g": both[1:]}.get(kind, both)
    terms = tuple(Terms.of(first.results[name]) for name in of if name in first.results)
    return Measured(reader, kind, metric, partial, terms, {key: dict.fromkeys(both, one) for key, one in seeds.items()})
