"""A task with its settings, and settings for many tasks, as they are asked for on the command line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.records.types import Ability, GenerationConfig
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

REVISION = "revision"
SIDES: tuple[str, ...] = get_args(Ability)
Decoding = Sequence[tuple[str, Mapping[str, Any]]]
"""Settings in order, each with the task, or the side, that they are for; a later one counts."""


@dataclass(frozen=True)
class ParsedTask:
    """A task as it was asked for: the evaluator's reference, the run's name for it, and what the name overrides."""

    reference: str
    name: str
    overrides: dict[str, Any]
    revision: str | None = None


def parse_task(text: str) -> ParsedTask:
    """ "name@key=value,key=value": generation settings that are overridden, and ``revision`` for the data's commit."""
    reference, _, tail = text.partition("@")
    given: dict[str, Any] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in (*GenerationConfig.model_fields, REVISION):
            keys = ", ".join((*GenerationConfig.model_fields, REVISION))
            raise HermesError(f"task {text!r}: {part!r} is not KEY=VALUE with one of the keys {keys}")
        given[key] = value
    revision = given.pop(REVISION, None)
    try:
        config = GenerationConfig.model_validate(given)
    except ValidationError as error:
        raise HermesError(f"task {text!r}: {error.errors()[0]['msg']}") from None
    name = "@".join(filter(None, (reference, ",".join(f"{key}={value}" for key, value in given.items()))))
    return ParsedTask(reference, name, {key: getattr(config, key) for key in given}, revision)


def read_decoding(lines: Iterable[str]) -> Decoding:
    """ "generation@steps=50", "mme@max_new_tokens=20": settings for all tasks of a side, or for one.

    Raises HermesError for a name that is neither, and for what is no setting.
    """
    found = []
    for text in lines:
        one = parse_task(text)
        if one.reference not in SIDES and registry.split_reference(one.reference)[0] not in registry.names(
            "evaluators"
        ):
            raise HermesError(f"--decoding {text!r}: {one.reference!r} is neither {' nor '.join(SIDES)} nor a task")
        if one.revision is not None or not one.overrides:
            raise HermesError(f"--decoding {text!r} names no setting; write it as {one.reference}@KEY=VALUE")
        found.append((one.reference, one.overrides))
    return found


def decoding_of(decoding: Decoding, reference: str, evaluator: Evaluator) -> dict[str, Any]:
    """The settings that are meant for a task: for its side, for it, or for the benchmark whose answers it takes."""
    names = {evaluator.ability, evaluator.asked_by.name, reference}
    return {key: value for name, settings in decoding if name in names for key, value in settings.items()}
