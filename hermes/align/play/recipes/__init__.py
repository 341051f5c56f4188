"""Recipes that ship with Hermes: TOML files that are named without a path, as in ``--config paper``.

Those for a family of models say in a table ``for`` which models these are; all else in them are settings of `align`.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field

from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build, read_toml

END, FOR = ".toml", "for"


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


def recipes() -> list[str]:
    """The names of all recipes."""
    return sorted(entry.name.removesuffix(END) for entry in files(__package__).iterdir() if entry.name.endswith(END))


@cache
def fits() -> dict[str, Fit]:
    """The recipes for families of models, by name, each with the models that it is for."""
    found = {name: read_toml(_shipped(name)).get(FOR) for name in recipes()}
    return {name: build(Fit, overrides=fit) for name, fit in found.items() if fit}


def recipe_settings(name: str) -> dict[str, Any]:
    """The settings of a recipe for a family. Raises HermesError where there is none of this name."""
    if name not in fits():
        raise HermesError(f"recipe {name!r} is none for models; choose from none, {', '.join(fits())}")
    return {key: value for key, value in read_toml(_shipped(name)).items() if key != FOR}


def recipe_path(path: Path) -> Path:
    """The file itself, or the recipe of that name, with or without ``.toml``. Raises HermesError for neither."""
    if path.exists() or len(path.parts) != 1:
        return path
    if (name := path.name.removesuffix(END)) not in recipes():
        raise HermesError(f"{path} does not exist and is not a recipe; the recipes are {', '.join(recipes())}")
    return _shipped(name)


def read_recipe(path: Path) -> dict[str, Any]:
    """What a TOML file or recipe holds. Raises HermesError where it cannot be read."""
    return read_toml(recipe_path(path))


def _flat(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in _flat(value))
        else:
            yield key, value


def _shipped(name: str) -> Path:
    return Path(str(files(__package__) / f"{name}{END}"))
