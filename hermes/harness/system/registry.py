"""Names to classes: entry points, imported when they are asked for, and the classes of plugin files."""

import traceback
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.harness.system.required import Kind, complaint
from hermes.harness.system.text import plain


class Offer(NamedTuple):
    """A class that a plugin file offers, and the file."""

    kind: Kind
    name: str
    cls: Any
    file: str


_of_files: dict[tuple[Kind, str], Offer] = {}


@cache
def _points(kind: Kind) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of each name; more than one where packages disagree."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=f"hermes.{kind}"):
        others = found.get(point.name, ())
        if point.value not in (other.value for other in others):
            found[point.name] = (*others, point)
    return found


def names(kind: Kind) -> list[str]:
    """All registered names, sorted; nothing is imported."""
    return sorted({*_points(kind), *(name for of, name in _of_files if of == kind)})


def split_reference(reference: str) -> tuple[str, str | None]:
    """ "name:argument" to both parts; the argument says which task, checkpoint or endpoint, None if there is none."""
    name, colon, argument = reference.partition(":")
    return name, argument if colon else None


def offer(file: str, offers: Sequence[Offer]) -> None:
    """Register what a plugin file offers, in place of what it offered before; all or nothing.

    Raises HermesError for a name that is taken.
    """
    taken: dict[tuple[Kind, str], str] = {key: old.file for key, old in _of_files.items() if old.file != file}
    for new in offers:
        key = (new.kind, new.name)
        other = taken.get(key) or next((point.value for point in _points(new.kind).get(new.name, ())), None)
        if other is not None:
            what = f"plugin {file}: {new.kind[:-1]} {new.name!r} ({new.cls.__name__})"
            raise HermesError(f"{what} has the name of {other}; give it another")
        taken[key] = f"{file}:{new.cls.__name__}"
    for key in [key for key, old in _of_files.items() if old.file == file]:
        del _of_files[key]
    _of_files.update({(new.kind, new.name): new for new in offers})


def load_class(kind: Kind, reference: str, to_use: bool = True) -> Any:
    """The class behind a name, or behind "name:argument"; ``to_use`` False: only to look at, its extra may be missing.

    A class with an ``extra`` names in ``packages`` the modules that come with it. Raises HermesError that lists the
    names, or that says what is wrong with the class or must be installed.
    """
    name, _ = split_reference(reference)
    if (kind, name) in _of_files:
        cls = _of_files[kind, name].cls
    elif name in _points(kind):
        cls = _imported(kind, name)
    else:
        raise HermesError(f"unknown {kind[:-1]} {name!r}; choose from {', '.join(names(kind))}")
    extra = getattr(cls, "extra", None)
    if to_use and extra is not None and not all(map(_is_installed, getattr(cls, "packages", ()))):
        raise MissingExtra(f"{kind[:-1]} {name!r}", extra)
    return cls


def _imported(kind: Kind, name: str) -> Any:
    point, *others = _points(kind)[name]
    if others:
        both = f"{point.value} and {others[0].value}"
        raise HermesError(f"two packages offer {kind[:-1]} {name!r}: {both}; uninstall one of them")
    what = f"{kind[:-1]} {name!r} ({point.value})"
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise HermesError(f"{what} cannot be imported: {reason(error)}") from error
    if wrong := complaint(kind, cls):
        raise HermesError(f"{what} {wrong}")
    return cls


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # the parent of a dotted name is missing or broken
        return False


def reason(error: BaseException, file: str | None = None) -> str:
    """What an error says and where it was raised, in one line; with a ``file``, where in that file."""
    said = plain(str(error))
    said = said if isinstance(error, ImportError | HermesError) and said else f"{type(error).__name__}: {said}"
    if isinstance(error, SyntaxError):
        return said  # it names file and line
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if file in (None, frame.filename)]
    return said + "".join(f" ({Path(last.filename).name}, line {last.lineno})" for last in frames[-1:])


def evaluator(reference: str) -> Any:
    """The evaluator of a task, "name" or "name:argument"."""
    cls = load_class("evaluators", reference)
    try:
        return cls.make(split_reference(reference)[1])
    except HermesError:
        raise
    except Exception as error:
        raise HermesError(f"evaluator {reference!r} cannot be made: {reason(error)}") from error


def load_all(kind: Kind) -> tuple[dict[str, Any], dict[str, str]]:
    """Every class of the kind by its name, only to look at, and the reasons of those that cannot be loaded."""
    classes: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for name in names(kind):
        try:
            classes[name] = load_class(kind, name, to_use=False)
        except HermesError as error:
            broken[name] = plain(str(error))
    return classes, broken
