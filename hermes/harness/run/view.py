"""The folder of one run: what was asked for, the environment of every start, and what it came to.

spec.json identifies the run, run.json says where under the root its answers and scores lie, environment.jsonl has a
line for every start and end, results.json holds the numbers. The answers themselves are in stores (stores.py).
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hermes.harness.data.pins import FILE as PINS
from hermes.harness.records.types import SCHEMA_VERSION, ModelInfo, Result
from hermes.harness.run.chosen import told
from hermes.harness.run.fresh import SPEC, empty, known
from hermes.harness.run.plan import Task, differences, run_id
from hermes.harness.run.scoring import SUBMISSION
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.disk import append_line, json_text, read_json, remove_parts, write_atomic, write_json
from hermes.harness.system.errors import HermesError

RUN, RESULTS, ENVIRONMENT = "run.json", "results.json", "environment.jsonl"


def open_run(folder: Path, spec: Mapping[str, Any], fresh: bool) -> None:
    """Start or resume a run folder, without what killed processes have left half written. The caller holds its lock.

    A run is a view of answers that are stored by what was asked: one whose spec is damaged, and one with errors whose
    data was mended since, as their messages ask for, goes on. Raises HermesError where the folder holds another run or
    something else.
    """
    refuse_foreign(folder)
    path = folder / SPEC
    if (old := known(folder)) is not None:
        if fresh:
            empty(folder)
        elif old and _mended(folder, old, spec):
            (folder / RESULTS).unlink(missing_ok=True)
        elif old:
            _refuse_others(folder, old, spec)
        elif (folder / RESULTS).is_file() and read_json(folder / RESULTS).get("run_id") != run_id(dict(spec)):
            raise HermesError(f"{path} is damaged, and {RESULTS} beside it is of another run; give another --out")
    remove_parts(folder)
    write_json(path, spec)


def refuse_foreign(folder: Path) -> None:
    """Raise HermesError where there is something in the folder, and no run of whatever kind."""
    if (folder / SPEC).exists():
        if known(folder) is None:
            raise HermesError(f"{folder / SPEC} was not written by Hermes; give another --out")
    elif folder.is_dir() and any(not item.name.startswith(".") and item.name != PINS for item in folder.iterdir()):
        raise HermesError(f"{folder} is not empty and holds no {SPEC} of a run; give another --out")


def _mended(folder: Path, old: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether the specs differ in data alone, and that of tasks that have errors or no results yet."""
    if _without_data(old) != _without_data(spec) or old == spec:
        return False
    try:
        results = read_json(folder / RESULTS).get("results", {}) if (folder / RESULTS).is_file() else {}
        errors = {name: result["counts"]["error"] for name, result in results.items()}
    except (HermesError, KeyError, TypeError, AttributeError):
        return False
    changed = [name for name, task in spec["tasks"].items() if old["tasks"][name] != task] or list(spec["tasks"])
    return all(errors.get(name, 1) for name in changed)


def _without_data(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what stands for rows and pictures; those of answers from files are the model's fingerprint."""
    tasks = spec.get("tasks")
    plain = dict(json.loads(json_text(spec)))
    if isinstance(tasks, dict):
        plain["tasks"] = {
            name: {key: value for key, value in task.items() if key not in ("data", "n")}
            for name, task in plain["tasks"].items()
        }
    if spec.get("answers") == "files":
        plain["model"] = {**plain["model"], "fingerprint": None}
    return plain


def _refuse_others(folder: Path, old: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Raise HermesError unless the folder's spec is this one."""
    if old["schema"] != SCHEMA_VERSION:
        again = f", and --model replay:{folder} to use its answers again" if "tasks" in old else ""
        raise HermesError(
            f"{folder} holds a run of an older version (schema {old['schema']}); give another --out{again}"
        )
    if changed := list(differences(dict(old), dict(spec))):
        raise HermesError(
            f"{folder} holds another run ({changed[0]}{', ...' if len(changed) > 1 else ''}); "
            "give another --out, or --fresh to start over"
        )


def write_places(folder: Path, root: Path, places: Mapping[str, Mapping[str, Path]]) -> None:
    """run.json: for each task where under the root its answers, judgements and scores lie; and its submission.json.

    Only what an evaluation server is to score has one.
    """
    for name, found in places.items():
        submission = found["scores"].with_suffix(SUBMISSION)
        if submission.is_file():
            write_atomic(folder / name.replace("/", "_") / "submission.json", submission.read_bytes())
    tasks = {
        name: {what: path.relative_to(root).as_posix() for what, path in found.items()}
        for name, found in places.items()
    }
    above = os.path.relpath(root.resolve(), folder.resolve())
    write_json(folder / RUN, {"schema": SCHEMA_VERSION, "root": Path(above).as_posix(), "tasks": tasks})


def note(folder: Path, content: Mapping[str, Any]) -> None:
    """One more line of environment.jsonl, with all that `environment.describe` says and what the caller adds."""
    append_line(folder / ENVIRONMENT, json.dumps(json.loads(json_text(content)), ensure_ascii=False))


def results_content(
    settings: EvalSettings,
    spec: Mapping[str, Any],
    info: ModelInfo,
    tasks: Sequence[Task],
    results: Mapping[str, Result],
    gap: Mapping[str, Any],
) -> dict[str, Any]:
    """What results.json holds: nothing in it depends on time, device, batch size or processes."""
    worlds = {task.data.info.world for task in tasks}
    chosen = next((task.data.met.told for task in tasks if task.data.met), "")
    return {
        "schema": SCHEMA_VERSION,
        "run_id": run_id(dict(spec)),
        "label": settings.label,
        "model": info,
        "world": worlds.pop() if len(worlds) == 1 else "mixed",
        "split": settings.split,
        "seed": settings.seed,
        "limit": settings.limit,
        **({"chosen": chosen} if chosen else {}),
        **({"settings": said} if (said := told(settings)) else {}),
        "protocol": settings.protocol,
        "partial": any(result.partial for result in results.values()),
        "results": dict(results),
        "gap": dict(gap),
    }
