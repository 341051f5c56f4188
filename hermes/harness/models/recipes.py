"""Recipes that ship with Hermes: TOML files of a package, named without a path, and the models that each is for.

A recipe for a family of models says in a table ``for`` which these are. It may list in ``unknown`` what no source
states, and in ``differs`` what a source states and no setting can say. All else are settings of the command.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field

from hermes.harness.models.detect import adapter_name, model_class
from hermes.harness.models.outline import settings_file
from hermes.harness.models.source import Source
from hermes.harness.models.trained import SETTINGS_FILES
from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file
from hermes.harness.system.settings import build, read_toml

END, FOR, UNKNOWN, DIFFERS = ".toml", "for", "unknown", "differs"
NONE = "none"
"""The recipe that changes nothing."""


class Fit(Record):
    """Which models a recipe is for: a registered ``family``, all of it or those of which the rest is true.

    ``name`` is part of the checkpoint's name, in any case; ``config`` is part of its config.json or model_index.json.
    ``named``: it is taken only where it is asked for.
    """

    family: str
    name: str = ""
    config: dict[str, Any] = Field(default_factory=dict)
    named: bool = False

    @property
    def said(self) -> str:
        """The models in words."""
        more = [f"named {self.name}"] if self.name else [f"{key} {value}" for key, value in _flat(self.config)]
        return ", ".join([f"model {self.family}", *more, *(["where it is asked for"] if self.named else [])])

    @property
    def rank(self) -> tuple[bool, bool]:
        """How much is said of the model; of two recipes that fit, that with more is meant."""
        return bool(self.name), bool(self.config)


@dataclass(frozen=True)
class Shelf:
    """The recipes of one package."""

    package: str

    def names(self) -> list[str]:
        """The names of all recipes."""
        entries = files(self.package).iterdir()
        return sorted(entry.name.removesuffix(END) for entry in entries if entry.name.endswith(END))

    def fits(self) -> dict[str, Fit]:
        """The recipes for families of models, by name, each with the models that it is for."""
        return _fits(self)

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a recipe for a family. Raises HermesError where there is none of this name."""
        return {key: value for key, value in self._content(name).items() if key not in (FOR, UNKNOWN, DIFFERS)}

    def told(self, name: str, what: str) -> list[str]:
        """What a recipe lists as UNKNOWN or DIFFERS. Raises HermesError as `settings` does."""
        return list(self._content(name).get(what, ()))

    def path(self, path: Path) -> Path:
        """The file itself, or the recipe of that name, with or without ``.toml``. Raises HermesError for neither."""
        if path.exists() or len(path.parts) != 1:
            return path
        if (name := path.name.removesuffix(END)) not in self.names():
            raise HermesError(f"{path} does not exist and is not a recipe; the recipes are {', '.join(self.names())}")
        return self.shipped(name)

    def read(self, path: Path) -> dict[str, Any]:
        """What a TOML file or recipe holds. Raises HermesError where it cannot be read."""
        return read_toml(self.path(path))

    def shipped(self, name: str) -> Path:
        """The file of a recipe."""
        return Path(str(files(self.package) / f"{name}{END}"))

    def meant(self, model: Any) -> list[str]:
        """The recipes whose models ``model`` is one of, found without its weights; that which says most of it first.

        None are where it is no model; what is wrong with it is said when it is loaded.
        """
        found = _found(model)
        fits = {name: fit for name, fit in self.fits().items() if found and fit.family == found.family}
        config = (found.config if found and any(fit.config for fit in fits.values()) else None) or {}
        fitting = [name for name, fit in fits.items() if found and fit.name.lower() in found.title]
        return sorted(
            (name for name in fitting if _has(config, fits[name].config)),
            key=lambda name: fits[name].rank,
            reverse=True,
        )

    def suits(self, name: str, model: Any) -> bool:
        """Whether a recipe is for the model, as far as that is known without its weights."""
        fit, found = self.fits()[name], _found(model)
        if found is None:
            return True
        named = found.family == fit.family and fit.name.lower() in found.title
        return named and (not fit.config or found.config is None or _has(found.config, fit.config))

    def _content(self, name: str) -> dict[str, Any]:
        if name not in self.fits():
            raise HermesError(f"recipe {name!r} is none for models; choose from {NONE}, {', '.join(self.fits())}")
        return read_toml(self.shipped(name))


@cache
def _fits(shelf: Shelf) -> dict[str, Fit]:
    found = {name: read_toml(shelf.shipped(name)).get(FOR) for name in shelf.names()}
    return {name: build(Fit, overrides=fit) for name, fit in found.items() if fit}


def _flat(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in _flat(value))
        else:
            yield key, value


@dataclass(frozen=True)
class _Found:
    """What is known of a model without its weights: its family, and where its checkpoint is, if it has one."""

    family: str
    source: Source | None

    @property
    def title(self) -> str:
        return self.source.title.lower() if self.source else ""

    @property
    def config(self) -> Any:
        """The settings file of the checkpoint; None where there is none that can be read."""
        paths = (settings_file(self.source, name) for name in SETTINGS_FILES) if self.source else ()
        for path in filter(None, paths):
            try:
                return json_file(path)
            except (OSError, ValueError):
                return None
        return None


def _found(model: Any) -> _Found | None:
    """None where it is no model."""
    try:
        family, sources = adapter_name(model), getattr(model_class(model), "sources", None)
        return _Found(family, next(iter(sources(model)), None) if sources else None)
    except (HermesError, AttributeError, TypeError):
        return None


def _has(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted stands in what was found, at its place."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_has(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)
