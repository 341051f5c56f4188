"""Plan -> batches -> model -> store -> scores -> results; the only file that knows models and evaluators both."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from pydantic import ValidationError

from hermes.harness import registry
from hermes.harness.environment import Stopwatch, describe, peak_memory_mb, pick_device
from hermes.harness.errors import HermesError, ImageError
from hermes.harness.external.task import stored_task
from hermes.harness.gap import gaps
from hermes.harness.judges.base import Judge
from hermes.harness.models.base import UnifiedModel
from hermes.harness.models.options import PLAIN, LoadOptions, options_of, refuse_unheeded
from hermes.harness.models.room import check_room
from hermes.harness.plan import Task, differences, plan_tasks, requests_of, resolved_config, run_id, run_spec
from hermes.harness.processes import current
from hermes.harness.progress import Progress, Silent
from hermes.harness.scoring import judge_responses, score_task, task_folder
from hermes.harness.settings import EvalSettings
from hermes.harness.store import ResponseStore, locked, read_json, write_json
from hermes.harness.types import SCHEMA_VERSION, Ability, ModelInfo, Request, Response, Result, Score

A = TypeVar("A")


def load_model(
    reference: str, device: str = "auto", options: LoadOptions = PLAIN, progress: Progress | None = None
) -> UnifiedModel:
    """The model behind a registered name, a checkpoint folder or OWNER/NAME[@REVISION] of the hub.

    Says what was found. Raises HermesError, before any weights are read, for options that the model does not take and
    for a checkpoint that has no room here.
    """
    cls = registry.model_class(reference)
    refuse_unheeded(cls, options, reference)
    device = _device_of(cls, device)
    sources = cls.sources(reference) if hasattr(cls, "sources") else []
    size = check_room(sources, device, options, reference)
    if sources and progress is not None:
        where = ", ".join(source.name + (f"@{source.revision}" if source.revision else "") for source in sources)
        progress.say(f"model: {cls.__name__} ({', '.join(cls.abilities)}) from {where}{size and f', {size}'}, {device}")
    heeds = getattr(cls, "options", ())
    model: UnifiedModel = cls.load(reference, device, options) if heeds else cls.load(reference, device)
    return model


def _device_of(cls: Any, wanted: str) -> str:
    """The device that a model or judge is loaded to; for one that computes nothing torch is not even imported."""
    return pick_device(wanted if getattr(cls, "uses_torch", True) else "cpu")


def evaluate(
    settings: EvalSettings, progress: Progress | None = None, model: UnifiedModel | None = None
) -> dict[str, Any]:
    """Run every task, resume what is stored, score, and write the run folder; returns what results.json holds.

    ``model`` skips loading when the caller has it in memory (align does). The folder is under the key "folder", which
    the file itself does not have.
    """
    progress = progress or Silent()
    watch = Stopwatch()
    with watch.stage("plan"):
        tasks = plan_tasks(settings, type(model) if model else registry.model_class(settings.model))
    with watch.stage("load"):
        model = model or load_model(settings.model, settings.device, options_of(settings), progress)
        judges = load_judges(tasks, model, settings.device)
    spec = run_spec(tasks, model.info, {name: judge.identity for name, judge in judges.items()}, settings.seed)
    folder = settings.out or settings.runs / model.info.name / run_id(spec)
    with ExitStack() as stack:
        if current().main:
            stack.enter_context(locked(folder))
            open_run(folder, spec, settings.fresh)
        current().wait()
        results: dict[str, Result] = {}
        scores: dict[str, list[Score]] = {}
        for task in tasks:
            results[task.name], scores[task.name] = _run_task(task, model, judges, folder, settings, progress, watch)
        content = results_content(settings, spec, model.info, tasks, results, gaps(results, scores))
        if current().main:
            write_json(folder / "results.json", content)
            write_reports(folder)
            extra = {"seconds": watch.seconds, "peak_memory_mb": peak_memory_mb(), "processes": current().world}
            write_json(
                folder / "environment.json",
                describe(settings.device) | extra | {"settings": settings.model_dump(mode="json")},
            )
        current().wait()
    return content | {"folder": folder, "seconds": watch.seconds, "peak_memory_mb": peak_memory_mb()}


def _run_task(
    task: Task,
    model: UnifiedModel,
    judges: dict[str, Judge],
    folder: Path,
    settings: EvalSettings,
    progress: Progress,
    watch: Stopwatch,
) -> tuple[Result, list[Score]]:
    config = resolved_config(task, model.info, settings.seed)
    store = ResponseStore(task_folder(folder, task.name), folder / "media", current().rank)
    with watch.stage(f"draw {task.name}"):
        responses = draw(
            model,
            requests_of(task, config),
            store,
            settings.batch_size,
            progress,
            task.name,
            task.evaluator.ability,
        )
    judge = judges[task.judge] if task.judge else None
    if judge:
        with watch.stage(f"judge {task.name}"):
            judge_responses(task, responses, store, judge, progress)
    with watch.stage(f"score {task.name}"):
        return score_task(task, config.num_images, store, settings.protocol, judge.identity if judge else None)


def draw(
    model: UnifiedModel,
    requests: Sequence[Request],
    store: ResponseStore,
    batch_size: int = 64,
    progress: Progress | None = None,
    label: str = "draw",
    ability: Ability | None = None,
) -> list[Response]:
    """Answer all requests that the store does not hold yet, and return all responses in request order.

    Each batch is stored and flushed as it comes; processes share the work. A request whose answering fails is stored
    with status ``error`` and tried again the next time. ``ability`` defaults to: understanding where there are images.
    """
    progress = progress or Silent()
    processes = current()
    done = {key for key, response in store.read().items() if response.status == "ok"}
    processes.wait()
    pending = [request for request in requests if (request.sample_id, request.index) not in done]
    mine = pending[processes.rank :: processes.world]
    progress.start(label, len(requests), len(requests) - len(pending))
    for begin in range(0, len(mine), batch_size):
        batch = mine[begin : begin + batch_size]
        store.append(_respond(model, batch, store, ability or ("understanding" if batch[0].images else "generation")))
        progress.advance(len(batch) * processes.world)
    processes.wait()
    stored = store.read()
    return [stored[request.sample_id, request.index] for request in requests]


def _respond(model: UnifiedModel, batch: Sequence[Request], store: ResponseStore, ability: Ability) -> list[Response]:
    """One batch; where it fails as a whole, its requests are tried one by one, so that one bad one fails alone."""
    begin = time.perf_counter()
    try:
        answers: Sequence[Any] = model.understand(batch) if ability == "understanding" else model.generate(batch)
        if len(answers) != len(batch):
            raise RuntimeError(f"the model gave {len(answers)} answers to {len(batch)} requests")
        seconds = (time.perf_counter() - begin) / len(batch)
        return [
            _response(request, seconds, text=_checked(answer, str))
            if ability == "understanding"
            else _response(request, seconds, image=store.keep_image(_checked(answer, Image.Image)))
            for request, answer in zip(batch, answers, strict=True)
        ]
    except Exception as error:
        if isinstance(error, HermesError) and not isinstance(error, ImageError):
            raise
        if len(batch) > 1:
            return [response for request in batch for response in _respond(model, [request], store, ability)]
        reason = str(error) if isinstance(error, ImageError) else f"{type(error).__name__}: {error}"
        return [_response(batch[0], 0.0, status="error", error=reason)]


def _checked(answer: Any, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise TypeError(f"the model answered with a {type(answer).__name__} instead of a {kind.__name__}")
    if isinstance(answer, str):
        answer.encode()  # a lone surrogate cannot be written
    return answer


def _response(request: Request, seconds: float, **content: Any) -> Response:
    return Response(
        sample_id=request.sample_id,
        index=request.index,
        seed=request.seed,
        prompt_sha256=hashlib.sha256(request.prompt.encode()).hexdigest(),
        seconds=round(seconds, 5),
        **content,
    )


def load_judges(tasks: Sequence[Task], model: UnifiedModel | None, device: str) -> dict[str, Judge]:
    """Each judge that a task needs, once; ``model`` is None where answers come from elsewhere."""
    judges: dict[str, Judge] = {}
    for name in sorted({task.judge for task in tasks if task.judge}):
        cls = registry.load_class("judges", name)
        argument = registry.split_reference(name)[1]
        if model is None and getattr(cls, "needs_model", False):
            raise HermesError(f"judge {name!r} is the evaluated model, and none is loaded here; give another --judge")
        judges[name] = cls(model) if getattr(cls, "needs_model", False) else cls.load(argument, _device_of(cls, device))
    return judges


def open_run(folder: Path, spec: dict[str, Any], fresh: bool) -> None:
    """Start or resume a run folder. Raises HermesError where the folder holds another run or something else."""
    path = folder / "spec.json"
    if not path.exists():
        if any(not item.name.startswith(".") for item in folder.iterdir()):
            raise HermesError(f"{folder} is not empty and holds no spec.json of a run; give another --out")
    elif fresh:
        empty(folder)
    else:
        old = read_json(path)
        changed = list(differences(old, spec))
        if changed:
            raise HermesError(
                f"{folder} holds another run ({changed[0]}{', ...' if len(changed) > 1 else ''}); "
                "give another --out, or --fresh to start over"
            )
    write_json(path, spec)


def empty(folder: Path) -> None:
    """Remove all that a run folder holds, but not the lock that this command holds on it.

    The spec goes last: until the rest is gone the folder stays known as a run, and --fresh can be given again.
    """
    spec = folder / "spec.json"
    for item in folder.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        elif item.name not in (".lock", spec.name):
            item.unlink()
    spec.unlink(missing_ok=True)


def results_content(
    settings: EvalSettings,
    spec: dict[str, Any],
    info: ModelInfo,
    tasks: Sequence[Task],
    results: dict[str, Result],
    gap: dict[str, Any],
) -> dict[str, Any]:
    """What results.json holds: nothing in it depends on time, device, batch size or processes."""
    worlds = {task.data.info.world for task in tasks}
    return {
        "schema": SCHEMA_VERSION,
        "run_id": run_id(spec),
        "label": settings.label,
        "model": info,
        "world": worlds.pop() if len(worlds) == 1 else "mixed",
        "split": settings.split,
        "seed": settings.seed,
        "limit": settings.limit,
        "protocol": settings.protocol,
        "partial": any(result.partial for result in results.values()),
        "results": results,
        "gap": gap,
    }


def write_reports(folder: Path) -> None:
    """report.md and report.html of a run folder."""
    from hermes.harness.store import write_atomic
    from hermes.leaderboards.report import report_html, report_markdown

    write_atomic(folder / "report.md", report_markdown(folder))
    write_atomic(folder / "report.html", report_html(folder))


def rescore(folder: Path, protocol: str, progress: Progress | None = None) -> dict[str, Any]:
    """Score a finished run's stored answers again, under any protocol, without its model.

    Writes result.json and scores.jsonl of each task and results.json anew. Raises HermesError where the data that the
    run was made from can no longer be had unchanged, or where a judge would have to look again.
    """
    spec, settings, info = read_run(folder)
    settings = settings.model_copy(update={"protocol": protocol})
    with locked(folder):
        return _rescore(folder, spec, settings, info, progress or Silent())


def read_run(folder: Path) -> tuple[dict[str, Any], EvalSettings, ModelInfo]:
    """The spec, the settings with tasks and data resolved, and the model of a finished run.

    Raises HermesError where the folder holds no finished run of this version.
    """
    spec, old, environment = (read_json(folder / f"{name}.json") for name in ("spec", "results", "environment"))
    try:
        settings = EvalSettings.model_validate(environment["settings"])
        resolved = {
            "tasks": tuple(spec["tasks"]),
            "data": settings.data or ("shapes" if old["world"] == "shapes" else "hub"),
        }
        return spec, settings.model_copy(update=resolved), ModelInfo.model_validate(old["model"])
    except (KeyError, TypeError, ValidationError):
        raise HermesError(f"{folder} holds no finished run that this version can read; run hermes eval again") from None


def _rescore(
    folder: Path, spec: dict[str, Any], settings: EvalSettings, info: ModelInfo, progress: Progress
) -> dict[str, Any]:
    protocol = settings.protocol
    tasks = (
        [stored_task(settings, spec)] if spec.get("answers") == "files" else plan_tasks(settings, info, to_judge=False)
    )
    progress.start(f"score ({protocol})", len(tasks))
    results: dict[str, Result] = {}
    scores: dict[str, list[Score]] = {}
    for task in tasks:
        if task.data.info.fingerprint != spec["tasks"][task.name]["data"]:
            raise HermesError(f"{folder}: the data of {task.name} has changed since the run; make the run again")
        store = ResponseStore(task_folder(folder, task.name), folder / "media")
        num_images = spec["tasks"][task.name]["config"]["num_images"]
        results[task.name], scores[task.name] = score_task(
            task, num_images, store, protocol, spec["tasks"][task.name]["judge"]
        )
        progress.advance()
    content = results_content(settings, spec, info, tasks, results, gaps(results, scores))
    write_json(folder / "results.json", content)
    write_reports(folder)
    return content | {"folder": folder}
