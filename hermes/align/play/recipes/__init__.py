"""Recipes that ship with Hermes: TOML files that are named without a path, as in ``--config paper``."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import read_toml


def recipes() -> list[str]:
    """The names of all recipes."""
    return sorted(Path(entry.name).stem for entry in files(__package__).iterdir() if entry.name.endswith(".toml"))


def recipe_path(path: Path) -> Path:
    """The file itself, or the recipe of that name, with or without ``.toml``. Raises HermesError for neither."""
    if path.exists() or len(path.parts) != 1:
        return path
    if path.stem not in recipes():
        raise HermesError(f"{path} does not exist and is not a recipe; the recipes are {', '.join(recipes())}")
    return Path(str(files(__package__) / f"{path.stem}.toml"))


def read_recipe(path: Path) -> dict[str, Any]:
    """What a TOML file or recipe holds. Raises HermesError where it cannot be read."""
    return read_toml(recipe_path(path))
