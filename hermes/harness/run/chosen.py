"""The settings of `hermes eval`: the command line, then a file, then a recipe where one is asked for, then defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes.harness.models.recipes import DIFFERS, NONE, UNKNOWN
from hermes.harness.run.recipes import SHELF
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build, read_toml

DECODING = "decoding"


def settings_for(given: Mapping[str, Any], config: Path | None = None, model: Any = None) -> EvalSettings:
    """What ``given`` says, else the TOML file ``config``, else the recipe that either names, else the defaults.

    ``config`` may be the name of a recipe. Of `decoding` each setting has its own place in this order. ``model`` is one
    that is loaded already, which is taken as it is. Raises HermesError for what is not valid, with where it stands, and
    for a recipe that is not for the model.
    """
    stated = {key: value for key, value in given.items() if value is not None}
    if config is not None and not config.exists() and str(config) in (NONE, *SHELF.fits()):
        stated, config = {"recipe": str(config), **stated}, None
    file = config and SHELF.path(config)
    values = (read_toml(file) if file else {}) | stated
    name = values.get("recipe")
    if not isinstance(name, str) or name == NONE:
        return build(EvalSettings, file, stated)
    below = SHELF.settings(name)
    above = values.get(DECODING, ())
    both = [*below.get(DECODING, ()), *([above] if isinstance(above, str) else above)]
    settings = build(EvalSettings, file, {**stated, DECODING: tuple(both)}, below)
    if model is None:
        _refuse_stranger(name, settings.model)
    return settings


def recipe_lines(settings: EvalSettings) -> list[str]:
    """What a recipe sets, what is given otherwise, what no source states, what cannot be set; [] without a recipe."""
    if settings.recipe in (None, NONE):
        return []
    name = str(settings.recipe)
    wanted, otherwise = _wanted(name), otherwise_of(settings)
    unknown, differs = SHELF.told(name, UNKNOWN), SHELF.told(name, DIFFERS)
    said = [*(f"{key} {value}" for key, value in wanted.items() if key != DECODING), *wanted.get(DECODING, ())]
    return [
        f"recipe {name}: {', '.join(said)}" + (f"; given otherwise: {', '.join(otherwise)}" if otherwise else ""),
        *([f"unknown, as no source states it: {'; '.join(unknown)}"] if unknown else []),
        *([f"otherwise there, and not to be set here: {'; '.join(differs)}"] if differs else []),
    ]


def told(settings: EvalSettings) -> str:
    """What results and tables call the settings: the recipe with what differs from it, or what --decoding says."""
    if settings.recipe in (None, NONE):
        return ", ".join(settings.decoding)
    otherwise = otherwise_of(settings)
    return str(settings.recipe) + (f", but {', '.join(otherwise)}" if otherwise else "")


def otherwise_of(settings: EvalSettings) -> list[str]:
    """What holds in place of what a recipe says, or beside it; nothing of a recipe that is no longer there."""
    if settings.recipe not in SHELF.fits():
        return []
    wanted = _wanted(str(settings.recipe))
    values = {key: getattr(settings, key) for key in wanted if key != DECODING}
    its = wanted.get(DECODING, [])
    other = [f"{key} {value}" for key, value in values.items() if value != wanted[key]]
    return [*other, *(line for line in settings.decoding[len(its) :] if line not in its)]


def _wanted(name: str) -> dict[str, Any]:
    """All that a recipe sets but the model, for which there may be others."""
    return {key: value for key, value in SHELF.settings(name).items() if key != "model"}


def _refuse_stranger(name: str, model: str) -> None:
    """Raise HermesError for a recipe that is not for the model, which names those that are."""
    if not SHELF.suits(name, model):
        fitting = [other for other in SHELF.fits() if SHELF.suits(other, model)]
        choice = f"choose from {', '.join(fitting)}, or leave --recipe out" if fitting else "leave --recipe out"
        raise HermesError(f"recipe {name!r} is for {SHELF.fits()[name].said}, and {model!r} is none; {choice}")
