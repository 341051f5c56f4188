"""The first page's data: every run with its settings and scores, every self-play with its rounds."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hermes.harness.records.types import Metric, Result
from hermes.harness.run.environments import environments
from hermes.harness.run.stores import SPEC
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.gallery import meaning
from hermes.leaderboards.titles import title
from hermes.viewer.details import clean
from hermes.viewer.found import FoundPlay, FoundRun
from hermes.viewer.pairs import PREFERENCES, training_log

STILL = 600  # Seconds without a word after which a run without an end counts as stopped.
QUIET = ("runs", "out", "fresh", "model", "label", "plugin", "max_failures")  # Settings that say nothing of answers.


def run_entry(
    found: FoundRun, rows: Mapping[str, int | None], stored: Mapping[str, bool], homologous: int | None
) -> dict[str, Any]:
    """One run; ``rows`` and ``stored`` say of each task how many rows can be shown, and whether samples are stored."""
    run, spec = found.run, found.spec
    starts = environments(found.folder)
    settings = starts[-1].get("settings", {}) if starts else {}
    model = run.name if run else str(settings.get("label") or spec.get("model", {}).get("name", found.folder.name))
    gap = run.gap.homologous if run else None
    return {
        "key": found.key,
        "model": clean(model),
        "run_id": run.run_id if run else found.folder.name,
        "seed": run.seed if run else spec.get("seed"),
        "split": run.split if run else settings.get("split"),
        "started": _started(found.folder),
        "partial": run.partial if run else True,
        "running": _running(found, starts),
        "play": found.play,
        "round": found.round,
        "homologous": homologous,
        "settings": {name: clean(str(value)) for name, value in settings.items() if _says(name, value)},
        "gap": _gap(gap.u, gap.g, gap.gap) if gap else None,
        "tasks": [_task(found, key, name, rows.get(key), stored.get(key, False)) for key, name in found.tasks.items()],
    }


def play_entry(found: FoundPlay, items: int | None) -> dict[str, Any]:
    """One self-play."""
    history, folder = found.history, found.history.path
    rounds = []
    for one in history.rounds:
        training = {name: value for name, value in (one.training or {}).items() if value is not None}
        rounds.append(
            {
                "round": one.round,
                "run": found.runs.get(one.round),
                **_gap(one.u, one.g, one.gap),
                "training": training | {f"seconds {phase}": value for phase, value in one.seconds.items()},
                "drops": {meaning(reason): count for reason, count in one.drops.items()},
                "failures": {clean(reason): count for reason, count in one.failures.items()},
                "pairs": one.pairs if (folder / f"round-{one.round}" / PREFERENCES).is_file() else 0,
            }
        )
    return {
        "key": found.key,
        "name": clean(f"{history.model.name}, {history.name}, seed {history.seed}"),
        "rounds": rounds,
        "items": items,
        "training": [one.round for one in history.rounds if training_log(folder, one.round).is_file()],
    }


def _task(found: FoundRun, key: str, name: str, rows: int | None, stored: bool) -> dict[str, Any]:
    result = found.run.results.get(name) if found.run else None
    spec = found.spec.get("tasks", {}).get(name, {})
    metric = result.metrics.get(result.headline) if result else None
    return {
        "key": key,
        "name": name,
        "title": clean(title(name)),
        "ability": result.ability if result else _ability(name),
        "protocol": result.protocol if result else spec.get("protocol"),
        "judge": result.judge if result else spec.get("judge"),
        "headline": result.headline if result else "",
        "unit": result.unit if result else "",
        "best": result.best if result else None,
        **{name: getattr(metric, name, None) for name in ("value", "low", "high")},
        "n": result.n if result else None,
        "n_expected": result.n_expected if result else _asked(spec),
        "counts": dict(result.counts) if result else {},
        "metrics": _metrics(result),
        "rows": rows,
        "stored": stored,
    }


def _asked(spec: Mapping[str, Any]) -> int | None:
    """How many answers a task in progress asks for."""
    images = (spec.get("config") or {}).get("num_images", 1)
    return spec["n"] * images if isinstance(spec.get("n"), int) and isinstance(images, int) else None


def _metrics(result: Result | None) -> list[dict[str, Any]]:
    return [
        {"name": clean(name), "value": one.value, "low": one.low, "high": one.high, "n": one.n}
        for name, one in (result.metrics.items() if result else ())
    ]


def _gap(u: Metric | None, g: Metric | None, gap: Metric | None) -> dict[str, Any]:
    """What is missing, of a model of one side, is left out."""
    found: dict[str, Any] = {}
    for name, before, metric in (("u", "u_", u), ("g", "g_", g), ("gap", "", gap)):
        if metric:
            found |= {name: metric.value, f"{before}low": metric.low, f"{before}high": metric.high}
    return found


def _ability(task: str) -> str:
    """What a task of a run in progress measures."""
    try:
        cls = registry.load_class("evaluators", task.partition("@")[0].partition(":")[0], to_use=False)
    except HermesError:  # It is of a plugin that this command was not given.
        return "understanding"
    return str(cls.ability)


def _says(name: str, value: Any) -> bool:
    return name not in QUIET and value not in (None, [], False, "auto")


def _started(folder: Path) -> str | None:
    """When the run was started last: its spec is written anew each time."""
    try:
        return datetime.fromtimestamp((folder / SPEC).stat().st_mtime).isoformat(timespec="seconds")
    except OSError:
        return None


def _running(found: FoundRun, starts: list[dict[str, Any]]) -> bool:
    """Whether a run has started, has not ended, and has written something lately."""
    if not starts or starts[-1].get("end"):
        return False
    stores = [files.store for name in found.tasks.values() if (files := found.files(name)) is not None]
    paths = [found.folder / SPEC, *(path for store in stores for path in store.glob("*.jsonl"))]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return bool(times) and time.time() - max(times) < STILL
