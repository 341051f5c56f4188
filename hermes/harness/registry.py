"""Names to classes, through entry points; a class is imported only when it is asked for."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Literal

from hermes.harness.errors import HermesError, MissingExtra

Kind = Literal["evaluators", "models", "judges"]


@cache
def _points(kind: Kind) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"hermes.{kind}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise HermesError(
                f"two packages offer {kind[:-1]} {point.name!r}: {other.value} and {point.value}; uninstall one of them"
            )
    return found


def names(kind: Kind) -> list[str]:
    """All registered names, sorted; nothing is imported."""
    return sorted(_points(kind))


def split_reference(reference: str) -> tuple[str, str | None]:
    """ "name:argument" to both parts; the argument says which task, checkpoint or endpoint, None if there is none."""
    name, colon, argument = reference.partition(":")
    return name, argument if colon else None


def load_class(kind: Kind, reference: str, to_use: bool = True) -> Any:
    """The class behind a name, or behind "name:argument"; ``to_use`` False: only to look at, its extra may be missing.

    A class with an ``extra`` names in ``packages`` the modules that come with it. Raises HermesError that lists the
    names, or that says what could not be imported or must be installed.
    """
    points = _points(kind)
    name, _ = split_reference(reference)
    if name not in points:
        raise HermesError(f"unknown {kind[:-1]} {name!r}; choose from {', '.join(names(kind))}")
    point = points[name]
    try:
        cls = point.load()
    except (ImportError, AttributeError) as error:
        raise HermesError(f"{kind[:-1]} {name!r} ({point.value}) cannot be imported: {error}") from error
    extra = getattr(cls, "extra", None)
    if to_use and extra is not None and not all(map(find_spec, getattr(cls, "packages", ()))):
        raise MissingExtra(f"{kind[:-1]} {name!r}", extra)
    return cls


def evaluator(reference: str) -> Any:
    """The evaluator of a task, "name" or "name:argument"."""
    return load_class("evaluators", reference).make(split_reference(reference)[1])


def model_class(reference: str) -> Any:
    """The adapter for "name", "name:argument", a checkpoint folder, or OWNER/NAME[@REVISION] of the hub."""
    from hermes.harness.detect import adapter_of

    known = names("models")
    name = split_reference(reference)[0]
    return load_class("models", name if name in known else adapter_of(reference, known))
