"""The plan of a run: which tasks over which data with which judge. All of it is checked before weights are loaded."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hermes.evaluators.base import Evaluator
from hermes.harness import registry
from hermes.harness.data import Data, load_data
from hermes.harness.errors import HermesError
from hermes.harness.seeds import derive_seed
from hermes.harness.settings import EvalSettings
from hermes.harness.types import SCHEMA_VERSION, GenerationConfig, ModelInfo, Request, Sample


@dataclass(frozen=True)
class Task:
    """One evaluator in one run; ``name`` carries its overrides, as in "homologous-g@guidance_scale=1.5"."""

    name: str
    evaluator: Evaluator
    overrides: dict[str, Any]
    data: Data
    judge: str | None


def plan_tasks(settings: EvalSettings, model: Any, to_judge: bool = True) -> list[Task]:
    """Every task with its samples; ``model`` is the adapter class, or anything with its ``abilities`` and ``world``.

    Raises HermesError for whatever would fail later: names, abilities, data, and, unless all is judged already
    (``to_judge`` False), what the judges lack.
    """
    source = settings.data or ("shapes" if getattr(model, "world", "real") == "shapes" else "hub")
    if settings.tasks:
        wanted: Sequence[str] = settings.tasks
    else:
        wanted = [name for name in registry.names("evaluators") if _fits(name, model)]
    judges = named_judges(settings.judge)
    loaded: dict[str, Data] = {}
    tasks = []
    parsed = {text: parse_task(text) for text in wanted}
    evaluators: dict[str, Evaluator] = {name: registry.evaluator(name) for name, _ in parsed.values()}
    _check_protocol(settings.protocol, evaluators.values())
    for text, (name, overrides) in parsed.items():
        evaluator = evaluators[name]
        if evaluator.ability not in model.abilities:
            raise HermesError(
                f"task {name!r} needs {evaluator.ability}, which model {settings.model!r} has not; leave the task out"
            )
        if name not in loaded:
            loaded[name] = load_data(evaluator, source, settings.split, settings.limit, settings.revision)
        judge = judge_name(evaluator, judges, loaded[name].info.world)
        tasks.append(Task(text, evaluator, overrides, loaded[name], judge))
    for name in sorted({task.judge for task in tasks if task.judge and to_judge}):
        check_judge(name)
    return tasks


def _check_protocol(protocol: str, evaluators: Iterable[Evaluator]) -> None:
    known = sorted({"official", *(name for evaluator in evaluators for name in evaluator.protocols)})
    if protocol not in known:
        raise HermesError(f"no task has a protocol {protocol!r}; choose from {', '.join(known)}")


def _fits(name: str, model: Any) -> bool:
    cls = registry.load_class("evaluators", name, to_use=False)
    return cls.standard and cls.ability in model.abilities


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
    if evaluator.judge is None:
        return None
    for name in wanted:
        if evaluator.judge_needs in getattr(
            registry.load_class("judges", name, to_use=False), "abilities", ("answer",)
        ):
            return name
    own = evaluator.judge if world == "shapes" else evaluator.real_judge
    if own is None:
        raise HermesError(
            f"task {evaluator.name!r} needs a judge that can {evaluator.judge_needs}; "
            "give one with --judge (`hermes list judges` shows them)"
        )
    return own


def check_judge(reference: str) -> None:
    """Raise HermesError for what the judge lacks, before anything is loaded."""
    check = getattr(registry.load_class("judges", reference), "check", None)
    if check is not None:
        check(registry.split_reference(reference)[1])


def parse_task(text: str) -> tuple[str, dict[str, Any]]:
    """ "name@key=value,key=value" to the name and the generation settings it overrides."""
    name, _, tail = text.partition("@")
    overrides: dict[str, Any] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in GenerationConfig.model_fields:
            keys = ", ".join(GenerationConfig.model_fields)
            raise HermesError(f"task {text!r}: {part!r} is not KEY=VALUE with one of the keys {keys}")
        overrides[key] = value
    try:
        config = GenerationConfig.model_validate(overrides)
    except ValidationError as error:
        raise HermesError(f"task {text!r}: {error.errors()[0]['msg']}") from None
    return name, {key: getattr(config, key) for key in overrides}


def resolved_config(task: Task, info: ModelInfo, seed: int) -> GenerationConfig:
    """The model's defaults < the evaluator's settings < the task's overrides, with the run's seed."""
    own = {key: value for key, value in task.evaluator.config.model_dump().items() if value is not None}
    return info.defaults.model_copy(update={**own, "seed": seed, **task.overrides})


def requests_of(task: Task, config: GenerationConfig) -> list[Request]:
    """The task's requests in sample order; seeds depend on (run seed, sample id, index) and on nothing else."""
    return [
        Request(
            sample_id=sample.id,
            index=index,
            prompt=sample.prompt,
            images=sample.images,
            config=config,
            seed=derive_seed(config.seed, task.evaluator.name, sample.id, index, "draw"),
        )
        for sample in task.data.samples
        for index in range(config.num_images)
    ]


def prompts_sha256(samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(sample.prompt.encode(errors="surrogatepass") + b"\x00")
    return digest.hexdigest()[:16]


def run_spec(tasks: Sequence[Task], info: ModelInfo, judges: dict[str, str], seed: int) -> dict[str, Any]:
    """All that changes what is answered, and nothing else. ``judges`` maps judge names to identities."""
    precision = {} if info.dtype == "float32" else {"dtype": info.dtype}
    return {
        "schema": SCHEMA_VERSION,
        "model": {"name": info.name, "revision": info.revision, "fingerprint": info.fingerprint, **precision},
        "seed": seed,
        "tasks": {
            task.name: {
                "version": task.evaluator.version,
                "data": task.data.info.fingerprint,
                "n": task.data.info.n,
                "prompts": prompts_sha256(task.data.samples),
                "config": resolved_config(task, info, seed).model_dump(),
                "judge": judges[task.judge] if task.judge else None,
            }
            for task in tasks
        },
    }


def run_id(spec: dict[str, Any]) -> str:
    """The hash of the spec, twelve hexadecimal digits; "files-" before it where the answers came from files."""
    where = f"{spec['answers']}-" if "answers" in spec else ""
    return where + hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[str]:
    """The keys in which two specs differ, for error messages."""
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{path}{key}.")
        elif a != b:
            yield f"{path}{key} {a!r} there, {b!r} here"
