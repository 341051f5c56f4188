"""The plan of a run: which tasks over which data with which judge. All of it is checked before weights are loaded."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.reasoning import THINK, read_tags
from hermes.harness.data.chosen import Wanted, read_ids
from hermes.harness.data.fingerprint import DIGEST
from hermes.harness.data.pins import Pins
from hermes.harness.data.tables import Data, load_data
from hermes.harness.records.keys import SIZE, config_mark, request_key, short_hash
from hermes.harness.records.seeds import answer_seed
from hermes.harness.records.types import (
    DECODING,
    SCHEMA_VERSION,
    GenerationConfig,
    ModelInfo,
    Request,
    Sample,
)
from hermes.harness.run.asked import decoding_of, parse_task, read_decoding
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.stores import model_identity
from hermes.harness.run.task_files import file_tasks
from hermes.harness.system import hub, registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.progress import Progress, Silent
from hermes.shapes.twins import twin_of

COLUMN = "column:"
NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Task:
    """One evaluator in one run; ``name`` carries overrides of its own, as in "homologous-g@guidance_scale=1.5".

    ``overrides`` are these, and what --decoding says of it below them.
    ``rewriter`` says who wrote its prompts anew, and in which way; empty where nobody did.
    """

    name: str
    evaluator: Evaluator
    overrides: dict[str, Any]
    data: Data
    judge: str | None
    rewriter: Mapping[str, str] = field(default_factory=dict)

    @property
    def pinned(self) -> bool:
        """Whether its images are known by their place in one commit of a hub data set."""
        return self.data.info.pinned


def plan_tasks(
    settings: EvalSettings,
    model: Any,
    pins: Pins | None = None,
    progress: Progress | None = None,
    to_judge: bool = True,
) -> list[Task]:
    """Every task with its samples; ``model`` is the adapter class, or anything with its ``abilities`` and ``world``.

    ``pins`` says which commits of hub data sets are read, and notes those that are new. Raises HermesError for whatever
    would fail later: names, abilities, data, and, unless all is judged already (``to_judge`` False), what the judges
    lack.
    """
    progress = progress or Silent()
    files = file_tasks(settings.task_file)
    asked = settings.tasks or (() if files else tuple(_standard(model, progress)))
    sources = Sources.of(settings.data, "shapes" if getattr(model, "world", "real") == "shapes" else "hub")
    sources = replace(sources, each=sources.each | files)
    judges = named_judges(settings.judge)
    parsed = [parse_task(text) for text in dict.fromkeys(asked)]
    parsed += [parse_task(name) for name in files if name not in {one.reference for one in parsed}]
    wanted = _wanted(settings)
    evaluators: dict[str, Evaluator] = {one.reference: registry.evaluator(one.reference) for one in parsed}
    decoding = read_decoding(settings.decoding)
    tags = read_tags(settings.reasoning_tags)
    for evaluator in evaluators.values():
        evaluator.tags = tags
        evaluator.held_out = (settings.split,) if settings.held_out and evaluator.divides else ()
    _check_protocol(settings.protocol, evaluators.values())
    sources.refuse_strangers({*evaluators, *(one.name for one in evaluators.values())})
    column = column_of(settings.rewrite)
    columns = {name: column if evaluator.ability == "generation" else "" for name, evaluator in evaluators.items()}
    loaded: dict[tuple[str, str | None], Data] = {}
    tasks: dict[str, Task] = {}
    for one in parsed:
        evaluator = evaluators[one.reference]
        if lacks := evaluator.lacking(model.abilities):
            raise _unable(one.reference, lacks, settings)
        if one.name in tasks:
            raise HermesError(f"task {one.name!r} is asked for with two revisions; leave one out")
        key = (one.reference, one.revision)
        if key not in loaded:
            source = sources.for_task(one.reference, evaluator.asked_by.name)
            try:
                loaded[key] = load_data(
                    evaluator,
                    source,
                    settings.split,
                    settings.limit,
                    one.revision,
                    pins,
                    wanted,
                    columns[one.reference],
                )
            except HermesError:
                raise
            except Exception as error:  # a benchmark of somebody else's may raise anything
                reason = registry.reason(error)
                if settings.tasks or files or machine_failure(error):
                    raise HermesError(f"task {one.name!r} cannot read its rows: {reason}") from error
                progress.say(f"skipped {one.name}: it cannot read its rows: {reason}")
                continue
        judge = judge_name(evaluator, judges, loaded[key].info.world)
        overrides = decoding_of(decoding, one.reference, evaluator) | one.overrides
        rewriter = {"column": columns[one.reference]} if columns[one.reference] else {}
        tasks[one.name] = Task(one.name, evaluator, overrides, loaded[key], judge, rewriter)
    if any(task.pinned for task in tasks.values()) and (why := hub.unreachable()):
        progress.say(f"{why}; data are read from the cache")
    wanted.refuse_unknown({name: task.data.met for name, task in tasks.items()})
    for name in sorted({task.judge for task in tasks.values() if task.judge and to_judge}):
        check_judge(name)
        refuse_silent(name, model.abilities)
    for task in tasks.values() if to_judge else ():
        check_scope(task)
    return list(tasks.values())


def able_tasks(tasks: list[Task], info: ModelInfo, settings: EvalSettings, progress: Progress) -> list[Task]:
    """The tasks that the model can do as it was found when it was loaded: a server may do less than others.

    Raises HermesError for one that was asked for and is none of them.
    """
    lacks = {task.name: task.evaluator.lacking(info.abilities) for task in tasks}
    able = [task for task in tasks if not lacks[task.name]]
    for task in tasks:
        lack = lacks[task.name]
        if lack and (settings.tasks or settings.task_file or not able):
            raise _unable(task.name, lack, settings)
        if lack:
            progress.say(f"skipped {task.name}: it needs {lack}, which the model does not support")
    return able


def _unable(name: str, lacks: str, settings: EvalSettings) -> HermesError:
    return HermesError(
        f"task {name!r} needs {lacks}, which model {settings.model!r} does not support; leave the task out"
    )


def column_of(rewrite: str | None) -> str:
    """The column that "column:NAME" names; "" where a model rewrites prompts, or nobody."""
    before, _, name = (rewrite or "").partition(COLUMN)
    if not before and rewrite and not name.strip():
        raise HermesError(f"--rewrite {rewrite!r} names no column; give column:NAME")
    return "" if before else name.strip()


def _wanted(settings: EvalSettings) -> Wanted:
    """What --ids, --category and --sample ask for."""
    ids = read_ids(settings.ids) if settings.ids else frozenset[str]()
    return Wanted(ids, settings.category, settings.sample, settings.seed)


def _standard(model: Any, progress: Progress) -> Iterator[str]:
    """The tasks of a run that names none: the standard ones that the model can do; broken plugins are passed over."""
    classes, broken = registry.load_all("evaluators")
    for name, reason in broken.items():
        progress.say(f"skipped {name}: {reason}")
    yield from (name for name, cls in classes.items() if cls.standard and not cls.lacking(model.abilities))


@dataclass(frozen=True)
class Sources:
    """Where the rows of each task come from: what --data says."""

    each: dict[str, str]
    others: str

    @classmethod
    def of(cls, text: str | None, default: str) -> "Sources":
        """ "hub" for all; "pope=hub,geneval=folder/" for each; "hub,geneval=folder/" for one and for all others.

        A part whose name is no task's belongs to the path before it: paths may hold commas and signs of equality.
        """
        if text is None or Path(text).exists():
            return cls({}, text or default)
        each: dict[str, str] = {}
        others: str | None = None
        for part in text.split(","):
            name, equals, source = part.partition("=")
            if equals and registry.split_reference(name.strip())[0] in registry.names("evaluators"):
                each[name.strip()] = source.strip()
            elif each or others is not None:
                if each:
                    last = next(reversed(each))
                    each[last] += f",{part}"
                else:
                    others = f"{others},{part}"
            elif equals and source and not Path(part.strip()).exists() and NAME.fullmatch(name.strip()):
                raise HermesError(
                    f"--data names {name.strip()!r}, which is no task; `hermes list evaluators` shows all"
                )
            else:
                others = part.strip()
        return cls(each, default if others is None else others)

    def for_task(self, reference: str, asked_by: str = "") -> str:
        """The source of one task, by what it is called, by its benchmark, or by the task whose answers it judges."""
        names = (reference, registry.split_reference(reference)[0], asked_by)
        return next((self.each[name] for name in names if name in self.each), self.others)

    def refuse_strangers(self, known: Collection[str]) -> None:
        """Raise HermesError for data that is given for a task that is not run."""
        for name in self.each:
            if name not in known:
                raise HermesError(f"--data names {name!r}, which is none of the tasks {', '.join(sorted(known))}")


def _check_protocol(protocol: str, evaluators: Iterable[Evaluator]) -> None:
    known = sorted({"official", *(name for evaluator in evaluators for name in evaluator.protocols)})
    if protocol not in known:
        raise HermesError(f"no task has a protocol {protocol!r}; choose from {', '.join(known)}")


def named_judges(text: str | None) -> list[str]:
    """ "a,b:ARGUMENT" as a list. Raises HermesError for one that is unknown."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        registry.load_class("judges", name, to_use=False)
    return names


def judge_name(evaluator: Evaluator, wanted: Sequence[str], world: str) -> str | None:
    """The first judge asked for that can do what the evaluator needs, else the evaluator's own for the world.

    Raises HermesError where neither is there.
    """
    if evaluator.judge_needs is None:
        return None
    for name in wanted:
        judge = registry.load_class("judges", name, to_use=False)
        able = evaluator.judge_needs in getattr(judge, "abilities", ("answer",))
        if able and (getattr(judge, "needs_model", False) or not evaluator.judges_itself):
            return name
    twin = twin_of(evaluator) if world == "shapes" else None
    own = (twin.judge if twin else None) or evaluator.judge
    if own is None:
        raise HermesError(
            f"task {evaluator.name!r} needs a judge that can {evaluator.judge_needs}; "
            "give one with --judge (`hermes list judges` shows them)"
        )
    return own


def check_decoding(tasks: Iterable[Task], model: Any, name: str) -> None:
    """Raise HermesError for a setting of drawing that the adapter ``model`` does not know: it would change nothing."""
    for task in tasks:
        for key in task.overrides:
            if key in DECODING and key not in getattr(model, "decoding", ()):
                raise HermesError(f"task {task.name!r}: model {name!r} has no setting {key!r}; leave it out")


def check_judge(reference: str) -> None:
    """Raise HermesError for what the judge lacks, before anything is loaded."""
    check = getattr(registry.load_class("judges", reference), "check", None)
    if check is not None:
        check(registry.split_reference(reference)[1])


def refuse_silent(judge: str, abilities: Collection[str]) -> None:
    """Raise HermesError for a judge that is the evaluated model where that answers no questions."""
    if getattr(registry.load_class("judges", judge), "needs_model", False) and "understanding" not in abilities:
        raise HermesError(
            f"judge {judge!r} is the evaluated model, which answers no questions; give another --judge "
            "(`hermes list judges` shows them)"
        )


def check_scope(task: Task) -> None:
    """Raise HermesError where the benchmark lacks what it would ask, or the judge says that it knows nothing of it."""
    if task.judge:
        task.evaluator.check_asking()
    knows = getattr(registry.load_class("judges", task.judge), "knows", None) if task.judge else None
    if knows is not None and task.data.info.world != "shapes":
        refuse_unknown(task.judge or "", knows, task.evaluator, task.data.samples)


def refuse_unknown(judge: str, knows: Callable[[str], bool], evaluator: Evaluator, samples: Iterable[Sample]) -> None:
    """Raise HermesError for the first question or class of the samples that the judge does not know."""
    for sample in samples:
        for asked in evaluator.judged(sample):
            if not knows(asked):
                raise HermesError(
                    f"judge {judge!r} knows nothing of {asked[:60]!r} ({evaluator.name} {sample.id}); choose another "
                    "--judge, `hermes list judges` shows all"
                )


def resolved_config(task: Task, info: ModelInfo, seed: int) -> GenerationConfig:
    """The model's defaults < the evaluator's settings < the task's overrides, with the run's seed."""
    own = {key: value for key, value in task.evaluator.config.model_dump().items() if value is not None}
    return info.defaults.model_copy(update={**own, "seed": seed, **task.overrides})


class Keyed(NamedTuple):
    """One request in the making: a sample, the number of its answer, seed and key.

    ``asked`` is the digest of what the model is shown, ``whole`` that of all that is in the sample.
    """

    sample: Sample
    asked: bytes
    whole: bytes
    number: int
    seed: int
    key: str


def keyed(task: Task, config: GenerationConfig) -> Iterator[Keyed]:
    """All that a task asks, in sample order; seeds depend on (run seed, sample id, index) and on nothing else."""
    mark, name, times = config_mark(config), task.evaluator.asked_by.name, range(config.num_images)
    digests = task.data.digests
    for place, sample in enumerate(task.data.samples):
        at = DIGEST * place
        asked, whole = digests[at : at + SIZE], digests[at + SIZE : at + DIGEST]
        for index in times:
            seed = answer_seed(config.seed, name, sample.id, index)
            yield Keyed(sample, asked, whole, index, seed, request_key(sample.id, index, seed, asked, mark))


def requests_of(task: Task, config: GenerationConfig) -> Iterator[Request]:
    """The task's requests, in sample order."""
    for one in keyed(task, config):
        yield request_of(one, config)


def request_of(one: Keyed, config: GenerationConfig) -> Request:
    """What the model is asked."""
    return Request(
        key=one.key,
        sample_id=one.sample.id,
        index=one.number,
        prompt=one.sample.shown,
        images=one.sample.images,
        config=config,
        seed=one.seed,
    )


def run_spec(
    tasks: Sequence[Task], info: ModelInfo, code: str, judges: dict[str, str], seed: int, protocol: str
) -> dict[str, Any]:
    """All that changes the numbers of a run, and nothing else. ``judges`` maps judge names to identities."""
    return {
        "schema": SCHEMA_VERSION,
        "model": {"name": info.name, "revision": info.revision, **model_identity(info, code)},
        "seed": seed,
        "tasks": {
            task.name: {
                "version": task.evaluator.version,
                "data": task.data.info.fingerprint,
                "n": task.data.info.n,
                "config": resolved_config(task, info, seed).model_dump(),
                "protocol": used_protocol(task.evaluator, protocol),
                "judge": judges[task.judge] if task.judge else None,
                **({} if task.evaluator.tags == THINK else {"reasoning_tags": task.evaluator.tags}),
                **_looked_at(task.evaluator),
                **({"rewriter": dict(task.rewriter)} if task.rewriter else {}),
            }
            for task in tasks
        },
    }


def _looked_at(evaluator: Evaluator) -> dict[str, Any]:
    """Whose answers a benchmark judges that asks for none of its own."""
    other = evaluator.looks_at
    return {} if other is None else {"answers_of": {"task": other.name, "version": other.version}}


def used_protocol(evaluator: Evaluator, wanted: str) -> str:
    """The protocol, or the evaluator's first where it does not have this one."""
    return wanted if wanted in evaluator.protocols else evaluator.protocols[0]


def run_id(spec: dict[str, Any]) -> str:
    """The hash of the spec, twelve hexadecimal digits; "files-" before it where the answers came from files."""
    where = f"{spec['answers']}-" if "answers" in spec else ""
    return where + short_hash(spec)


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[str]:
    """The keys in which two specs differ, for error messages."""
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{path}{key}.")
        elif a != b:
            yield f"{path}{key} {a!r} there, {b!r} here"
