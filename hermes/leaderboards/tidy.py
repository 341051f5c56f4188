"""Runs and tables as pandas. The only file of the leaderboards that imports it at once."""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from hermes.harness.records.types import Metric
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.board import Key
from hermes.leaderboards.presets import ABLATED, ABLATION, PRESETS
from hermes.leaderboards.read import BenchmarkGap, HomologousGap, Run
from hermes.leaderboards.tables import Table
from hermes.leaderboards.titles import BENCHMARK_GAP, GAP, GAPS, HOMOLOGOUS, PHI, SAME, UNDEFINED, title

# The columns in their order; pandas' own types, in which a whole number and a truth may be missing.
COLUMNS = {
    **dict.fromkeys(("label", "model", "revision", "weights", "dtype"), "string"),
    "parameters": "Int64",
    **dict.fromkeys(("run", "task", "evaluator", "version", "ability", "protocol", "judge", "metric"), "string"),
    "headline": "boolean",
    "unit": "string",
    **dict.fromkeys(("value", "low", "high"), "float64"),
    **dict.fromkeys(("n", "groups"), "Int64"),
    **dict.fromkeys(("data", "data_revision", "data_fingerprint", "world", "split"), "string"),
    **dict.fromkeys(("seed", "limit"), "Int64"),
    "partial": "boolean",
    **dict.fromkeys(("answers", "expected", "scored", "unparsed", "errors"), "Int64"),
}

TASKS = {GAP: "homologous-gap", BENCHMARK_GAP: "benchmark-gap"}  # The gaps as tables call them, and as frames do.
UNITS = {PHI: "-1..1"}
NOTHING = "no number is left; choose other tables, columns or rows"


def tidy(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each run, task and metric, in the order of the runs."""
    records = [record for run in runs for record in (*_results(run), *_gaps(run))]
    return pd.DataFrame.from_records(records, columns=list(COLUMNS)).astype(COLUMNS)


def chosen(found: pd.DataFrame, table: str | None, columns: Sequence[str], rows: Sequence[str]) -> pd.DataFrame:
    """The numbers of a table of the paper, of these columns, and of the labels or run ids that fit one of the patterns.

    Columns are called as in tables. Raises HermesError for a column or pattern that no number has, and where nothing is
    left.
    """
    keys: Sequence[Key] = ()
    if table is not None:
        keys = list(map(Key, ABLATED)) if table == ABLATION else PRESETS[table].keys
        found = found[[any(_is(row, key) for key in keys) for row in found.itertuples()]]
        if found.empty:
            raise HermesError(NOTHING)
    shown = {name: [_is_named(row, name.casefold(), keys) for row in found.itertuples()] for name in columns}
    for name, places in shown.items():
        if not any(places):
            known = ", ".join(found.task.unique())
            raise HermesError(f"no column is called {name!r}; --columns takes {known}")
    for pattern in rows:
        if not _fitting(found, pattern).any():
            names = ", ".join(dict.fromkeys(found.label))
            raise HermesError(f"no row is called {pattern!r}; --rows fits labels and run ids: {names}")
    kept = pd.Series(True, found.index)
    if columns:
        kept &= pd.DataFrame(shown, found.index).any(axis=1)
    if rows:
        kept &= pd.concat([_fitting(found, pattern) for pattern in rows], axis=1).any(axis=1)
    found = found[kept]
    if found.empty:
        raise HermesError(NOTHING)
    return found.reset_index(drop=True)


def wide(table: Table) -> pd.DataFrame:
    """A table with numbers as numbers; its rows are indexed by the columns that name them."""
    columns = {
        column.title: [
            cell.text if column.is_text or cell.text not in ("", UNDEFINED) else cell.value for cell in cells
        ]
        for column, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True)
    }
    names = [column.title for column in table.columns[: table.labels]]
    return pd.DataFrame(columns).set_index(names)


def _is(row: Any, key: Key) -> bool:
    """Whether a row of the tidy table is the number of a column."""
    return row.task == TASKS.get(key.task, key.task) and (
        row.metric == key.metric if key.metric else bool(row.headline)
    )


def _is_named(row: Any, name: str, keys: Iterable[Key]) -> bool:
    """Whether a row of the tidy table is called so, in small letters, or is what one of the keys calls so."""
    entry = next((entry for entry, task in TASKS.items() if task == row.task), row.task)
    called = (row.task, entry, GAPS.get(entry) or title(entry), f"{row.task}/{row.metric}")
    return name in map(str.casefold, called) or any(key.title.casefold() == name and _is(row, key) for key in keys)


def _fitting(found: pd.DataFrame, pattern: str) -> "pd.Series[bool]":
    return (found.run == pattern) | found.label.map(lambda label: label == pattern or fnmatchcase(label, pattern))


def _run(run: Run) -> dict[str, Any]:
    model = run.model
    return {
        "label": run.name,
        "model": model.name,
        "revision": model.revision,
        "weights": model.fingerprint,
        "dtype": model.dtype,
        "parameters": model.parameters or None,
        "run": run.run_id,
        "split": run.split,
        "seed": run.seed,
        "limit": run.limit,
    }


def _number(name: str, metric: Metric, unit: str | None, headline: bool) -> dict[str, Any]:
    return {"metric": name, "unit": unit, "headline": headline, **metric.model_dump()}


def _results(run: Run) -> Iterator[dict[str, Any]]:
    for name, result in run.results.items():
        data, counts = result.data, result.counts
        task = {
            "task": name,
            "evaluator": result.evaluator,
            "version": result.version,
            "ability": result.ability,
            "protocol": result.protocol,
            "judge": result.judge,
            "data": data.source,
            "data_revision": data.revision,
            "data_fingerprint": data.fingerprint,
            "world": data.world,
            "partial": result.partial,
            "answers": result.n,
            "expected": result.n_expected,
            "scored": counts.get("scored"),
            "unparsed": counts.get("unparsed"),
            "errors": counts.get("error"),
        }
        for key, metric in result.metrics.items():
            unit = result.unit if key == result.headline else None
            yield {**_run(run), **task, **_number(key, metric, unit, key == result.headline)}


def _gaps(run: Run) -> Iterator[dict[str, Any]]:
    """The run's gaps, with what all the tasks that they are made of have in common."""
    found: list[tuple[str, HomologousGap | BenchmarkGap | None, tuple[str, ...]]] = [
        (TASKS[GAP], run.gap.homologous, HOMOLOGOUS)
    ]
    for name, gap in run.gap.variants.items():
        found.append((name.replace(GENERATION, TASKS[GAP], 1), gap, (UNDERSTANDING, name)))
    if across := run.gap.benchmarks:
        found.append((TASKS[BENCHMARK_GAP], across, (*across.understanding, *across.generation)))
    for task, numbers, parts in found:
        results = [run.results[part] for part in parts if part in run.results]
        if numbers is None or not results:
            continue
        common = {
            "task": task,
            "protocol": _common(result.protocol for result in results),
            "judge": _common(result.judge for result in results if result.judge),
            "world": _common(result.data.world for result in results),
            "partial": any(result.partial for result in results),
        }
        for key in ("u", "g", "gap", *SAME):
            if metric := getattr(numbers, key, None):
                yield {**_run(run), **common, **_number(key, metric, UNITS.get(key, "0..1"), key == "gap")}


def _common(values: Iterable[str | None]) -> str | None:
    """The value that all have; None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
