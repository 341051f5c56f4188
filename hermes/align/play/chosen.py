"""The settings of a self-play: the command line, then a file, then the recipe of the model's family, then defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes.align.play.recipes import SHELF
from hermes.align.settings import AlignSettings
from hermes.harness.models.recipes import NONE
from hermes.harness.system.progress import Progress
from hermes.harness.system.settings import build, read_toml

FINER = {
    "epochs": ("steps",),
    "n": ("n_images",),
    "lora_rank": ("lora_alpha", "average", "regmean"),
    "rule": ("fresh_items",),
    "objective": ("side_loss", "regmean"),
}
"""Settings that say more exactly what another says, or do not go with it: who gives the other does not mean the
recipe's."""


def settings_for(given: Mapping[str, Any], config: Path | None = None) -> AlignSettings:
    """What ``given`` says, else the TOML file ``config``, else the recipe, else the defaults.

    The recipe is the one that the two name, or that of the model's family. ``config`` may be a shipped recipe's name;
    one for models is then the recipe. Raises HermesError for what is not valid, with where it stands.
    """
    stated = {key: value for key, value in given.items() if value is not None}
    if config is not None and not config.exists() and str(config) in (NONE, *SHELF.fits()):
        stated, config = {"recipe": str(config), **stated}, None
    file = config and SHELF.path(config)
    values = (read_toml(file) if file else {}) | stated
    name = values.get("recipe") or recipe_of(values.get("model", AlignSettings.model_fields["model"].default))
    below = SHELF.settings(name) if isinstance(name, str) and name != NONE else {}
    replaced = {finer for key in values for finer in FINER.get(key, ())}
    kept = {key: value for key, value in below.items() if key not in replaced}
    return build(AlignSettings, file, stated, {**kept, "recipe": name})


def recipe_of(model: Any) -> str | None:
    """The recipe of a model's family, found without its weights.

    None where no recipe is for it, or where it is no model; what is wrong with it is said when it is loaded.
    """
    return next((name for name in SHELF.meant(model) if not SHELF.fits()[name].named), None)


def recipe_lines(settings: AlignSettings) -> list[str]:
    """Which recipe there is, what of it holds and what does not, for the start of a self-play."""
    if settings.recipe is None:
        return ["recipe: there is none for this model; what is not given has the defaults, which are Pair-DPO's"]
    if settings.recipe == NONE:
        return ["recipe none: what is not given has the defaults, which are Pair-DPO's"]
    wanted = {name: value for name, value in SHELF.settings(settings.recipe).items() if name != "model"}
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


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
