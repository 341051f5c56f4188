"""A model as earlier runs under a root have found it, so that nothing need be loaded to know which answers are its."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hermes.harness.contracts.options import PLAIN, ModelSettings, options_of
from hermes.harness.models.source import Source
from hermes.harness.models.trained import is_weights
from hermes.harness.records.types import ModelInfo
from hermes.harness.run.environments import environments
from hermes.harness.run.stores import ANSWERS
from hermes.harness.run.view import ENVIRONMENT

FIRST = "round-0"


def known_model(root: Path, settings: ModelSettings, device: str, sources: list[Source]) -> ModelInfo | None:
    """What the newest run that was asked for the same model, loaded in the same way, says of it; None without one.

    A checkpoint that was written after that run is another model, of which nothing is known. So may one be that
    a caller had in memory, whatever its name.
    """
    found = (path for path in root.rglob(ENVIRONMENT) if ANSWERS not in path.parts and not _of_round(path))
    for path in sorted(found, key=_written, reverse=True):
        for start in reversed(environments(path.parent)):
            asked = _named(start, settings, device) and not start.get("handed_in")
            if asked and _loaded_alike(start, settings):
                return None if _changed(sources, _written(path)) else _info(start, path.parent)
    return None


def base_models(root: Path, settings: ModelSettings, device: str) -> Iterator[ModelInfo]:
    """What the first rounds of self-plays with the same model, loaded in the same way, say of it.

    Those of older versions did not note how it was loaded, so it may have been otherwise.
    """
    for path in sorted(root.rglob(f"{FIRST}/evaluation/{ENVIRONMENT}"), key=_written, reverse=True):
        for start in environments(path.parent)[-1:]:
            alike = _loaded_alike(start, settings) or "handed_in" not in start
            if alike and _named(start, settings, device) and (info := _info(start, path.parent)):
                yield info


def _of_round(path: Path) -> bool:
    return path.parents[1].name.startswith("round-")


def _named(start: dict[str, Any], settings: ModelSettings, device: str) -> bool:
    """Whether a start was asked for the model of the settings, on the same kind of device."""
    kind = str(start.get("device")).partition(":")[0]
    return _settings(start).get("model") == settings.model and kind == device.partition(":")[0]


def _loaded_alike(start: dict[str, Any], settings: ModelSettings) -> bool:
    said = _settings(start)
    return {name: said.get(name, default) for name, default in PLAIN} == options_of(settings).model_dump()


def _settings(start: dict[str, Any]) -> dict[str, Any]:
    return start.get("settings") or {}


def _written(path: Path) -> float:
    return path.stat().st_mtime


def _info(start: dict[str, Any], folder: Path) -> ModelInfo | None:
    """The model of a start; older runs say it in their results alone."""
    try:
        said = start.get("model") or json.loads((folder / "results.json").read_text(encoding="utf-8"))["model"]
        return ModelInfo.model_validate(said)
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _changed(sources: list[Source], since: float) -> bool:
    """Whether a folder of weights is newer than that."""
    folders = [Path(source.name) for source in sources if source.local]
    return any(path.stat().st_mtime > since for folder in folders for path in folder.rglob("*") if is_weights(path))
