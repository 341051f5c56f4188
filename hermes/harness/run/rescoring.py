"""`hermes score RUN`: stored answers under another protocol; loads no model and asks no judge."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.records.store import Store
from hermes.harness.records.stored_samples import samples_path
from hermes.harness.records.types import SCHEMA_VERSION, GenerationConfig, ModelInfo
from hermes.harness.run.asked import REVISION
from hermes.harness.run.environments import environments
from hermes.harness.run.fresh import SCORED, SPEC
from hermes.harness.run.outside.task import stored_task
from hermes.harness.run.plan import Task, plan_tasks, run_id, used_protocol
from hermes.harness.run.rewriting import as_stored
from hermes.harness.run.runner import Run
from hermes.harness.run.scoring import NO_JUDGEMENT, NO_RESPONSE, read_scores
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.stores import BUSY
from hermes.harness.run.view import RESULTS, RUN, note, open_run, results_content, write_places
from hermes.harness.system.disk import locked, read_json, write_json
from hermes.harness.system.environment import describe
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress, Silent

NOT_THERE = "give a run folder"
REWRITE = "run hermes eval again, which writes it anew from the answers that are stored"


def rescore(folder: Path, protocol: str, progress: Progress | None = None) -> dict[str, Any]:
    """Score a finished run's stored answers under any protocol, without its model.

    Another protocol than the run's is another run, whose folder is beside it (in its "scored" where it is
    self-contained).
    Raises HermesError where the data that the run was made from is no longer available unchanged, or where a judge
    would have to look again.
    """
    old = read_run(folder)
    load_plugins(old.settings.plugin)
    settings = old.settings.model_copy(update={"protocol": protocol, "fresh": False})
    progress = progress or Silent()
    if old.spec.get("answers") == "files":
        tasks = [stored_task(settings, old.spec)]
    else:
        tasks = plan_tasks(settings, old.info, to_judge=False)
    run = Run(settings, old.root, progress, old.undefined)
    spec = old.spec | {"tasks": {name: dict(content) for name, content in old.spec["tasks"].items()}}
    progress.start(f"score ({protocol})", len(tasks))
    for task in tasks:
        told, task = spec["tasks"][task.name], as_it_was(folder, old, task)
        told["protocol"] = used_protocol(task.evaluator, protocol)
        store = Store(old.places[task.name]["answers"])
        if not (store.folder / SPEC).is_file():
            raise HermesError(f"{folder}: the answers are no longer in {store.folder}; run hermes eval again")
        busy = BUSY.format(task=task.name, folder=store.folder)
        with locked(store.folder, wait=partial(progress.say, busy)):
            run.finish(task, GenerationConfig.model_validate(told["config"]), store, told["judge"])
        if old.spec.get("answers") != "files":
            _refuse_lost(folder, task.name, run.places[task.name])
        progress.advance()
    target = folder
    if run_id(spec) != run_id(old.spec):
        alone = old.root.resolve() == folder.resolve()
        target = (folder / SCORED if alone else folder.parent) / run_id(spec)
    with locked(target):
        open_run(target, spec, fresh=False)
        content = results_content(settings, spec, old.info, tasks, run.results, run.gaps())
        write_places(target, run.root, run.places)
        described = describe("cpu") | {"settings": settings.model_dump(mode="json")}
        note(target, {"end": True, **described, "scored": folder.resolve().name})
        write_json(target / RESULTS, content)
    return content | {"folder": target}


@dataclass(frozen=True)
class FinishedRun:
    """A run folder as it was left: spec, settings with tasks, commits and data resolved, model, places.

    ``undefined`` says of a model of one side why it has no gap.
    """

    spec: dict[str, Any]
    settings: EvalSettings
    info: ModelInfo
    root: Path
    places: dict[str, dict[str, Path]]
    undefined: str


def read_run(folder: Path) -> FinishedRun:
    """A finished run. Raises HermesError where the folder holds none of this version."""
    spec = read_json(folder / SPEC, NOT_THERE if not (folder / SPEC).exists() else REWRITE)
    if spec.get("schema") != SCHEMA_VERSION:
        raise HermesError(
            f"{folder} holds a run of another version (schema {spec.get('schema')}); run hermes eval again, with "
            f"--model replay:{folder} to use its answers"
        )
    results, places = read_json(folder / RESULTS, REWRITE), read_json(folder / RUN, REWRITE)
    starts = [entry for entry in environments(folder) if "settings" in entry]
    try:
        settings = EvalSettings.model_validate(starts[-1]["settings"])
        info = ModelInfo.model_validate(results["model"])
        root = folder / places["root"]
        found = {name: {what: root / path for what, path in where.items()} for name, where in places["tasks"].items()}
        update = {
            "tasks": tuple(_at_commit(name, results["results"][name]["data"]) for name in spec["tasks"]),
            "data": settings.data or ("shapes" if results["world"] == "shapes" else "hub"),
            "update_data": False,
        }
        undefined = results["gap"].get("undefined", "")
        return FinishedRun(spec, settings.model_copy(update=update), info, root, found, undefined)
    except (KeyError, TypeError, IndexError, ValidationError):
        raise HermesError(f"{folder} holds no finished run that this version can read; run hermes eval again") from None


def as_it_was(folder: Path, old: FinishedRun, task: Task) -> Task:
    """A task with the prompts that its finished run showed. Raises HermesError where its data have changed since."""
    told = old.spec["tasks"][task.name]
    if rewriter := told.get("rewriter"):
        task = as_stored(task, samples_path(old.places[task.name]["answers"], told["data"]), rewriter)
    if task.data.info.fingerprint != told["data"]:
        raise HermesError(f"{folder}: the data of {task.name} has changed since the run; make the run again")
    return task


def _refuse_lost(folder: Path, task: str, places: Mapping[str, Path]) -> None:
    """Raise HermesError where an answer is no longer there: a finished run has one to everything, be it an error."""
    lost = sum(score.reason in (NO_RESPONSE, NO_JUDGEMENT) for score in read_scores(places["scores"]))
    if lost:
        raise HermesError(
            f"{folder}: {lost} answers to {task} are missing or damaged in {places['answers']}; run hermes eval again, "
            "which asks for them alone"
        )


def _at_commit(task: str, data: Mapping[str, Any]) -> str:
    """The name of a task that reads the commit of a hub data set that its run has read."""
    if not data["source"].startswith("hub:"):
        return task
    return f"{task}{',' if '@' in task else '@'}{REVISION}={data['revision']}"
