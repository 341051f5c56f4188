"""Holds runs against the first of them: paired differences by benchmark and category, and the samples that flipped."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.records.stats import sum_metric
from hermes.harness.records.types import Metric, Result, Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.flips import Flip, flips_of
from hermes.leaderboards.joined import entries_of
from hermes.leaderboards.origins import Difference, Measured, Reader
from hermes.leaderboards.read import RESULTS, Run, read_run, read_runs, score_files
from hermes.leaderboards.same_rows import on_common_data
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.shifts import Benchmark, categories, shift
from hermes.leaderboards.titles import GAPS, SAME, place, title

if TYPE_CHECKING:
    import pandas as pd

LEAN = {"sample_id", "index", "group_id", "values", "tags"}  # One set for all scores: it is larger than a score.
FLIP = ("run", "task", "sample", "index", "category", "prompt", "target")


@dataclass(frozen=True)
class Moved:
    """One number of two runs. ``category`` is the metric of a part of the benchmark, "" for its headline.

    ``difference`` is in the number's own unit, None where nothing is known of it; ``why_not`` says why the two cannot
    be compared, "" where they can. ``fraction``: the number is one of 0..1.
    """

    run: str
    task: str
    category: str
    metric: str
    base: Metric
    value: Metric
    difference: Difference | None
    why_not: str
    fraction: bool

    @property
    def title(self) -> str:
        name = GAPS.get(self.task) or SAME.get(self.task) or title(self.task)
        return f"{name}: {self.category}" if self.category else name


@dataclass(frozen=True)
class Comparison:
    """Runs held against ``base``; all are called by their labels.

    ``alone`` has the tasks of each run that only the base, and that only the run has. ``compared`` are the runs
    themselves, the base first.
    """

    base: str
    runs: tuple[str, ...]
    moved: tuple[Moved, ...]
    flips: tuple[Flip, ...]
    alone: Mapping[str, tuple[list[str], list[str]]]
    compared: tuple[Run, ...]

    @property
    def differences(self) -> "pd.DataFrame":
        """One row for each number: the run and its base, task, category, metric, both values, their difference with its
        interval and what it is over, whether it is paired, and why there is none. Fractions are 0..1."""
        import pandas as pd

        rows = []
        for one in self.moved:
            metric = one.difference.metric if one.difference else None
            rows.append(
                {
                    **{"run": one.run, "base_run": self.base, "task": one.task, "category": one.category},
                    **{"metric": one.metric, "base": one.base.value, "value": one.value.value},
                    "difference": metric.value if metric else None,
                    **{name: getattr(metric, name, None) for name in ("low", "high", "n", "groups")},
                    "paired": one.difference.paired if one.difference else None,
                    "why_not": one.why_not,
                }
            )
        return pd.DataFrame.from_records(rows).astype({"n": "Int64", "groups": "Int64", "paired": "boolean"})

    @property
    def flipped(self) -> "pd.DataFrame":
        """One row for each sample that flipped: `Flip`, with ``base_`` and ``run_`` before what either side has."""
        import pandas as pd

        sides = [f"{side}_{name}" for side in ("base", "run") for name in ("worth", "answer", "picture", "reason")]
        rows = []
        for flip in self.flips:
            row: dict[str, Any] = {name: getattr(flip, name) for name in FLIP}
            for side, one in (("base", flip.before), ("run", flip.after)):
                row |= {f"{side}_worth": one.worth, f"{side}_answer": one.text, f"{side}_reason": one.reason}
                row[f"{side}_picture"] = str(one.picture) if one.picture else None
            rows.append(row)
        return pd.DataFrame.from_records(rows, columns=[*FLIP, *sides])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(self.differences.to_html(index=False, notebook=True))


def compare(paths: Sequence[Path]) -> Comparison:
    """Every other run minus the first, over the items that both have.

    Raises HermesError for fewer than two runs, for a path that holds none or several, and for runs that have no task in
    common.
    """
    if len(paths) < 2:
        raise HermesError("compare takes two runs or more, the first of which the others are held against")
    runs = on_common_data([_only_run(path) for path in paths])
    called = _called(runs)
    reader = Reader()
    base = entries_of(runs[0], reader)
    moved: list[Moved] = []
    flips: list[Flip] = []
    alone = {}
    for name, run in zip(called[1:], runs[1:], strict=True):
        entries = entries_of(run, reader)
        moved += _headlines(name, base, entries)
        for task in sorted(runs[0].results.keys() & run.results.keys(), key=place):
            if not entries[task].why_not(base[task]):
                moved += _categories(name, task, runs[0], run)
                flips += flips_of(name, task, runs[0], run)
        ours, theirs = (
            sorted(a.results.keys() - b.results.keys(), key=place) for a, b in ((runs[0], run), (run, runs[0]))
        )
        alone[name] = (ours, theirs)
    if not moved:
        raise HermesError(
            f"{called[0]} has no task in common with {', '.join(called[1:])}; give runs of the same tasks"
        )
    return Comparison(called[0], tuple(called[1:]), tuple(moved), tuple(flips), alone, tuple(runs))


def _only_run(path: Path) -> Run:
    if (path / RESULTS).is_file():  # Not what was scored anew from its answers, which lies below.
        return read_run(path / RESULTS)
    found = read_runs([path])
    if len(found) == 1:
        return found[0]
    if not found:
        raise HermesError(f"{path} holds no finished run; give the folder of one")
    folders = ", ".join(str(run.path) for run in found)
    raise HermesError(f"{path} holds {len(found)} runs; give one of them: {folders}")


def _called(runs: Sequence[Run]) -> list[str]:
    """The labels, with the run id where two are alike."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({run.run_id})" for name, run in zip(names, runs, strict=True)]


def _headlines(name: str, base: Mapping[str, Measured], entries: Mapping[str, Measured]) -> Iterator[Moved]:
    for task in sorted((one for one in base.keys() & entries.keys() if "\n" not in one), key=place):
        before, after = base[task], entries[task]
        why_not = after.why_not(before)
        named = task in GAPS or task in SAME
        fraction = named or _result(after, task).best <= 1
        metric = "" if named else _result(after, task).headline
        difference = None if why_not else after.minus(before)
        yield Moved(name, task, "", metric, before.metric, after.metric, difference, why_not, fraction)


def _result(entry: Measured, task: str) -> Result:
    return entry.seeds[0][task].results[task]


def _categories(name: str, task: str, base: Run, run: Run) -> Iterator[Moved]:
    """The parts of a benchmark whose answers its scores tell; none where the scores are not there."""
    before, after = base.results[task], run.results[task]
    try:
        parts = [_parts(score_files(one.path).get(task), one.results[task]) for one in (base, run)]
    except HermesError:
        return
    for category in (metric for metric in after.metrics if metric in parts[0] and metric in parts[1]):
        files = [
            Benchmark(result, Path(), category, part[category])
            for result, part in zip((before, after), parts, strict=True)
        ]
        moved = shift([(files[0], files[1])])
        numbers = before.metrics[category], after.metrics[category]
        paired = moved is not None and bool(moved.metric.groups)
        metric = moved.metric if moved and paired else sum_metric(numbers, [-1.0, 1.0])
        yield Moved(name, task, category, category, *numbers, Difference(metric, paired), "", after.best <= 1)


def _parts(path: Path | None, result: Result) -> dict[str, list[Score]]:
    """The scores of each category, without what is not needed for means; values and tags that are alike are one."""
    found: dict[str, list[Score]] = defaultdict(list)
    if path is None or not path.is_file():
        return found
    known: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}

    def lean(score: Score, values: dict[str, float]) -> Score:
        return Score.model_construct(
            LEAN,
            sample_id=score.sample_id,
            index=score.index,
            group_id=score.group_id,
            values=known.setdefault(tuple(values.items()), values),
            tags=known.setdefault(tuple(score.tags.items()), score.tags),
        )

    for score in scores_of(path):
        if score.status == "error":
            continue
        kept = lean(score, score.values)
        for name in categories(score, result):
            found[name].append(kept)
        for name in score.values.keys() & result.metrics.keys() - {result.headline}:
            if "/" in name:  # A picture's questions of one kind.
                found[name].append(lean(score, {result.headline: score.values[name]}))
    return found
