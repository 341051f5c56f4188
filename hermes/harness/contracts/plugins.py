"""`--plugin file.py`: benchmarks, models and judges of one's own, from a file that need not be installed."""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.model import Model
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.required import Kind, complaint

JUDGING = ("answer", "detect", "rate", "features")
_digests: dict[str, str] = {}


def load_plugins(paths: Sequence[Path | str]) -> None:
    """Import each file, once for each content, and register its classes as entry points would be.

    A hash of the file becomes part of their versions (of a judge's identity), so that answers and scores of an edited
    file are never taken for those of the old one. A plugin is one file: it imports what is installed, and no
    neighbours. Raises HermesError for a file that cannot be imported, offers nothing or is half written, and for a name
    that is taken.
    """
    for path in paths:
        file = Path(path).expanduser().resolve()
        try:
            source = file.read_bytes()
        except OSError as error:
            raise HermesError(f"plugin {path} cannot be read ({error.strerror}); give a Python file") from None
        digest = hashlib.sha256(source).hexdigest()[:8]
        if _digests.get(str(file)) != digest:
            offers = list(_offers(_imported(file, source, digest), str(file)))
            registry.offer(str(file), offers)
            _stamp(offers, digest)
            _digests[str(file)] = digest


def _imported(file: Path, source: bytes, digest: str) -> ModuleType:
    """The module of exactly this source: compiled here, as a cached compilation may be that of an older one."""
    name = f"hermes_plugin_{re.sub(r'[^0-9A-Za-z]', '_', file.stem)}_{digest}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:  # a file may raise anything while it is imported
        del sys.modules[name]
        raise HermesError(f"plugin {file} cannot be imported: {registry.reason(error, str(file))}") from error
    return module


def _offers(module: ModuleType, file: str) -> Iterator[registry.Offer]:
    """What the module defines for Hermes, checked. A class without a name that others build on is only their base."""
    defined = [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]
    bases = {base for cls in defined for base in cls.__mro__[1:]}
    found = False
    for cls in dict.fromkeys(defined):
        kind = _kind(cls)
        if kind is None or (cls in bases and "name" not in vars(cls)):
            continue
        name = getattr(cls, "name", "" if kind == "evaluators" else cls.__name__.lower())
        what = f"plugin {file}: {kind[:-1]} {name!r} ({cls.__name__})" if name else f"plugin {file}: {cls.__name__}"
        if wrong := complaint(kind, cls):
            raise HermesError(f"{what} {wrong}")
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
            raise HermesError(f"{what}: a name is made of letters, digits, '.', '_' and '-'")
        found = True
        yield registry.Offer(kind, name, cls, file)
    if not found:
        raise HermesError(
            f"plugin {file} offers nothing; define a subclass of Evaluator or Model, or a judge, as in examples/"
        )


def _kind(cls: Any) -> Kind | None:
    """What a class is by its base or by what it can do; None where Hermes has no use for it."""
    if issubclass(cls, Evaluator):
        return "evaluators"
    able = hasattr(cls, "abilities")
    if issubclass(cls, Model) or (able and (hasattr(cls, "understand") or hasattr(cls, "generate"))):
        return "models"
    if (able or hasattr(cls, "identity")) and any(hasattr(cls, method) for method in JUDGING):
        return "judges"
    return None


def _stamp(offers: Sequence[registry.Offer], digest: str) -> None:
    attributes = [("identity" if offer.kind == "judges" else "version") for offer in offers]
    before = [getattr(offer.cls, name, "1") for offer, name in zip(offers, attributes, strict=True)]
    for offer, name, value in zip(offers, attributes, before, strict=True):
        setattr(offer.cls, name, f"{value}+{digest}")
