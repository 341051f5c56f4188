"""Runs as one tidy pandas table: one row for each number. The only file of the leaderboards that needs pandas."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from hermes.harness.records.types import Metric
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.leaderboards.joined import HOMOLOGOUS
from hermes.leaderboards.read import BenchmarkGap, HomologousGap, Run

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


def tidy(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each run, task and metric, in the order of the runs."""
    records = [record for run in runs for record in (*_results(run), *_gaps(run))]
    return pd.DataFrame.from_records(records, columns=list(COLUMNS)).astype(COLUMNS)


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
        ("homologous-gap", run.gap.homologous, HOMOLOGOUS)
    ]
    for name, gap in run.gap.variants.items():
        found.append((name.replace(GENERATION, "homologous-gap", 1), gap, (UNDERSTANDING, name)))
    if across := run.gap.benchmarks:
        found.append(("benchmark-gap", across, (*across.understanding, *across.generation)))
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
        for key in ("u", "g", "gap"):
            yield {**_run(run), **common, **_number(key, getattr(numbers, key), "0..1", key == "gap")}


def _common(values: Iterable[str | None]) -> str | None:
    """The value that all have; None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
