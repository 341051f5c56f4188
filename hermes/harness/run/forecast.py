"""What a run would do and take, found out without loading anything: `hermes eval --dry-run`.

The time is that of the answers that are still missing, at the mean speed of the same model's stored answers to the same
task, or else to other tasks of the same ability. Judging is not counted: judgements hold no times.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic_core import from_json

from hermes.harness.contracts.options import options_of
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.pins import Pins
from hermes.harness.models.detect import model_class
from hermes.harness.models.released import versioned
from hermes.harness.models.room import free_memory
from hermes.harness.records.journal import unsealed
from hermes.harness.records.store import Store
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Record
from hermes.harness.run.chosen import recipe_lines
from hermes.harness.run.drawing import LOOK_UP
from hermes.harness.run.gap import lacking
from hermes.harness.run.known import known_model
from hermes.harness.run.loading import check_model
from hermes.harness.run.plan import Task, check_decoding, keyed, plan_tasks, resolved_config
from hermes.harness.run.rewriting import drawn_anew
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.stores import SPEC, asked_identity, code_version, root_of, store_folder
from hermes.harness.run.view import refuse_foreign
from hermes.harness.system import registry
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress
from hermes.harness.system.sharing import chunks
from hermes.harness.system.trackers import check_trackers

LOOKED_AT = 1000
"""Stored answers of a task whose times and sizes are looked at."""
Means = tuple[float | None, float | None]


class TaskForecast(Record):
    """One task: how many ``answers`` it has, of which some are ``stored``, and what the others take, where known.

    Those that another task of the run asks for count as stored.
    """

    name: str
    ability: Ability
    data: str
    samples: int
    answers: int
    stored: int
    judge: str | None
    seconds: float | None
    bytes: int | None

    @property
    def missing(self) -> int:
        """How many answers the model would be asked for."""
        return self.answers - self.stored


class Forecast(Record):
    """A run before anything is loaded.

    What a model is to rewrite is not known yet, so answers to such prompts count as missing.
    ``known``: the model as an earlier run has found it; None where there is none, so that no answer of it can be
    looked for. ``undefined``: why a model of one side has no gap, "" for others. ``recipe``: what the
    recipe sets and leaves open. Bytes: ``weights`` in memory (0:
    unknown), ``memory`` that is free where they go, ``disk`` that is free where results go. ``seconds`` and ``bytes``
    are those of all missing answers, None where one is unknown.
    """

    model: str
    device: str
    known: ModelInfo | None
    undefined: str = ""
    recipe: tuple[str, ...] = ()
    tasks: tuple[TaskForecast, ...]
    weights: int
    memory: int
    disk: int
    seconds: float | None
    bytes: int | None


def forecast(settings: EvalSettings, progress: Progress | None = None) -> Forecast:
    """The plan of a run, checked as for the run itself. Raises HermesError for whatever would make it fail at once."""
    check_trackers(settings.trackers)
    load_plugins(settings.plugin)
    if settings.out:
        refuse_foreign(settings.out)
    root = root_of(settings)
    cls = model_class(settings.model)
    tasks = plan_tasks(settings, cls, Pins.of_root(root, settings.update_data), progress)
    check_decoding(tasks, cls, settings.model)
    options = options_of(settings)
    device, sources, weights = check_model(cls, settings.model, settings.device, options)
    known = None if settings.fresh else known_model(root, settings, device, sources)
    info = known or ModelInfo(name=settings.model, fingerprint="", abilities=cls.abilities)
    own = [_asked(task, info, settings) for task in tasks if task.evaluator.looks_at is None]
    told = tuple(_task(task, settings, known, cls, own) for task in tasks)
    return Forecast(
        model=settings.model,
        device=device,
        known=known,
        undefined=lacking(cls.abilities),
        recipe=tuple(recipe_lines(settings)),
        tasks=told,
        weights=weights,
        memory=free_memory(device, options)[0],
        disk=free_disk(root),
        seconds=_sum([one.seconds for one in told]),
        bytes=_sum([one.bytes for one in told]),
    )


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _sum(values: Sequence[Any]) -> Any:
    return None if any(value is None for value in values) else sum(values)


def _asked(task: Task, info: ModelInfo, settings: EvalSettings) -> dict[str, Any]:
    asked_by = task.evaluator.asked_by
    return asked_identity(asked_by.name, asked_by.version, resolved_config(task, info, settings.seed))


def _task(
    task: Task, settings: EvalSettings, known: ModelInfo | None, cls: Any, own: Sequence[dict[str, Any]]
) -> TaskForecast:
    """``own`` is what tasks ask for themselves: one that looks at such answers asks for none."""
    info = known or ModelInfo(name=settings.model, fingerprint="", abilities=cls.abilities)
    config = resolved_config(task, info, settings.seed)
    total, stored = task.data.info.n * config.num_images, 0
    each: Means = (None, None)
    if known is not None:
        code = versioned(code_version(cls), options_of(settings))
        folder = store_folder(root_of(settings), known, code, _asked(task, info, settings))
        stored = 0 if settings.rewrite and drawn_anew(task, settings.rewrite) else _stored(task, config, folder)
        each = _means([folder]) if stored else _means(_alike(folder.parent, task.evaluator.ability))
    if task.evaluator.looks_at is not None and _asked(task, info, settings) in own:
        stored = total
    missing = total - stored
    seconds, size = (None if one is None else one * missing for one in each) if missing else (0.0, 0.0)
    return TaskForecast(
        name=task.name,
        ability=task.evaluator.ability,
        data=task.data.info.source,
        samples=task.data.info.n,
        answers=total,
        stored=stored,
        judge=task.judge,
        seconds=seconds,
        bytes=None if size is None else round(size),
    )


def _stored(task: Task, config: GenerationConfig, folder: Path) -> int:
    """How many answers to the task the store in the folder holds, without changing anything in it."""
    if not folder.is_dir():
        return 0
    store = Store(folder)
    index = store.responses.index()
    pictures = None if task.evaluator.ability == "understanding" else store.pictures()
    return sum(
        sum(store.answered(index, [one.key for one in chunk], pictures))
        for chunk in chunks(keyed(task, config), LOOK_UP)
    )


def _alike(home: Path, ability: Ability) -> Iterator[Path]:
    """The stores of a model's answers to benchmarks of an ability."""
    for folder in sorted(home.glob("*/")):
        try:
            name = read_json(folder / SPEC)["task"]
            if registry.load_class("evaluators", str(name), to_use=False).ability == ability:
                yield folder
        except (HermesError, KeyError):  # no store, or of a benchmark that is no longer there
            continue


def _means(folders: Iterable[Path]) -> Means:
    """Seconds and bytes of an answer in the stores, None where they hold none."""
    seconds: list[float] = []
    sizes: list[int] = []
    for folder in folders:
        for path in Store(folder).responses.files():
            with path.open("rb") as file:
                for line in islice(file, LOOKED_AT):
                    answer = from_json(body) if (body := unsealed(line)) else {}
                    if answer.get("status") == "ok":
                        seconds.append(answer["seconds"])
                        sizes.append(len(line) + _size(folder / "media" / f"{answer['image']}.png"))
    return (fmean(seconds), fmean(sizes)) if seconds else (None, None)


def _size(picture: Path) -> int:
    return picture.stat().st_size if picture.is_file() else 0
