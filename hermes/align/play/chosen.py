"""The settings of a self-play: the command line, then a file, then the recipe of the model's family, then defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes.align.play.recipes import fits, recipe_path, recipe_settings
from hermes.align.settings import AlignSettings
from hermes.harness.models.detect import adapter_name, model_class
from hermes.harness.models.outline import settings_file
from hermes.harness.models.source import Source
from hermes.harness.models.trained import SETTINGS_FILES
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file
from hermes.harness.system.progress import Progress
from hermes.harness.system.settings import build, read_toml

NONE = "none"
"""The recipe that changes nothing."""
FINER = {"epochs": "steps", "n": "n_images", "lora_rank": "lora_alpha", "rule": "fresh_items"}
"""Settings that say more exactly what another says, too: who gives the other does not mean the recipe's."""


def settings_for(given: Mapping[str, Any], config: Path | None = None) -> AlignSettings:
    """What ``given`` says, else the TOML file ``config``, else the recipe, else the defaults.

    The recipe is the one that the two name, or that of the model's family. ``config`` may be a shipped recipe's name;
    one for models is then the recipe. Raises HermesError for what is not valid, with where it stands.
    """
    stated = {key: value for key, value in given.items() if value is not None}
    if config is not None and not config.exists() and str(config) in (NONE, *fits()):
        stated, config = {"recipe": str(config), **stated}, None
    file = config and recipe_path(config)
    values = (read_toml(file) if file else {}) | stated
    name = values.get("recipe") or recipe_of(values.get("model", AlignSettings.model_fields["model"].default))
    below = recipe_settings(name) if isinstance(name, str) and name != NONE else {}
    replaced = {FINER.get(key) for key in values}
    kept = {key: value for key, value in below.items() if key not in replaced}
    return build(AlignSettings, file, stated, {**kept, "recipe": name})


def recipe_of(model: Any) -> str | None:
    """The recipe of a model's family, found without its weights.

    None where no recipe is for it, or where it is no model; what is wrong with it is said when it is loaded.
    """
    try:
        family, sources = adapter_name(model), getattr(model_class(model), "sources", None)
        source = next(iter(sources(model)), None) if sources else None
    except (HermesError, AttributeError, TypeError):
        return None
    found = {name: fit for name, fit in fits().items() if fit.family == family and not fit.named}
    title = source.title.lower() if source else ""
    config = _config(source) if source and any(fit.config for fit in found.values()) else {}
    meant = [name for name, fit in found.items() if fit.name.lower() in title and _has(config, fit.config)]
    return max(meant, key=lambda name: found[name].rank, default=None)


def recipe_lines(settings: AlignSettings) -> list[str]:
    """Which recipe there is, what of it holds and what does not, for the start of a self-play."""
    if settings.recipe is None:
        return ["recipe: there is none for this model; what is not given has the defaults, which are hermes-tiny's"]
    if settings.recipe == NONE:
        return ["recipe none: what is not given has the defaults, which are hermes-tiny's"]
    wanted = {name: value for name, value in recipe_settings(settings.recipe).items() if name != "model"}
    holds = {name: value for name, value in wanted.items() if _listed(getattr(settings, name)) == value}
    other = [name for name in wanted if name not in holds]
    line = f"recipe {settings.recipe}: " + ", ".join(f"{name} {value}" for name, value in holds.items())
    line += f"; given otherwise: {', '.join(other)}" if other else ""
    return [line, *_passes(settings, wanted, holds)]


def tell_recipe(settings: AlignSettings, progress: Progress) -> None:
    """Say it."""
    for line in recipe_lines(settings):
        progress.say(line)


def _passes(settings: AlignSettings, wanted: Mapping[str, Any], holds: Mapping[str, Any]) -> list[str]:
    """That the recipe's steps are not for as few, or as many, items as there are."""
    items = wanted.get("items", settings.items)
    if "steps" not in holds or settings.items == items:
        return []
    passes = [wanted["steps"] * settings.batch_size / number for number in (settings.items, items)]
    return [
        f"{wanted['steps']:,} steps of {settings.batch_size} are {passes[0]:.1f} passes over {settings.items:,} items; "
        f"the recipe has {passes[1]:.1f} over {items:,}, which are --steps {wanted['steps'] * settings.items // items}"
    ]


def _config(source: Source) -> Any:
    """The settings file of a checkpoint; nothing where there is none that can be read."""
    for name in SETTINGS_FILES:
        path = settings_file(source, name)
        if path is not None:
            try:
                return json_file(path)
            except (OSError, ValueError):
                return {}
    return {}


def _has(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted stands in what was found, at its place."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_has(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
