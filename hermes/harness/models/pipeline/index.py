"""What a pipeline's model_index.json names: its class and its parts, checked before any weights are read."""

import inspect
from pathlib import Path
from typing import Any

import diffusers
import transformers
from diffusers.pipelines import auto_pipeline

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

INDEX = "model_index.json"
OWN_CODE = "it brings its own code, which is never run; use a pipeline that diffusers knows"


def read_index(path: Path, who: str) -> dict[str, Any]:
    """The file's content. Raises HermesError where it is torn or no index."""
    try:
        index = json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{who}: {path} cannot be read ({error}); download it again") from None
    if not isinstance(index, dict) or "_class_name" not in index:
        raise HermesError(f"{who}: {path} names no pipeline class; give the folder of a diffusers pipeline")
    return index


def pipeline_class(index: dict[str, Any], where: str) -> Any:
    """The class of diffusers that the index names; it makes an image from a prompt alone.

    Raises HermesError for one that is not in diffusers, that wants more than a prompt, or is made of several
    checkpoints, of which only the first could be pinned.
    """
    name = index["_class_name"]
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(name, str) or any(library not in _libraries() for library, _ in parts(index).values()):
        raise HermesError(f"{where} cannot be loaded: {OWN_CODE}")
    if not (inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise HermesError(f"{where}: {name!r} is not a pipeline of diffusers {diffusers.__version__}; use one that is")
    takes = inspect.signature(kind.__call__).parameters
    missing = {"prompt", "generator"} - set(takes)
    needed = {key for key, one in takes.items() if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD}
    wanted = needed - {"self", "prompt"}
    if missing or wanted or "Control" in name or _for_another_task(kind):
        raise HermesError(f"{where}: {name} does not make images from a prompt alone; use a text-to-image pipeline")
    if kind._load_connected_pipes:
        raise HermesError(f"{where}: {name} is made of several checkpoints; use a pipeline that is one")
    return kind


def parts(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The library and class of every part by its name; parts that are not there are left out."""
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    }


def network_class(library: str, name: str) -> Any:
    """The class of a part that has weights of its own, None for other parts."""
    home = {"diffusers": diffusers, "transformers": transformers}.get(library)
    kind = getattr(home or getattr(diffusers.pipelines, library), name, None)
    if inspect.isclass(kind) and issubclass(kind, diffusers.ModelMixin | transformers.PreTrainedModel):
        return kind
    return None


def _libraries() -> set[str]:
    return {"diffusers", "transformers", *dir(diffusers.pipelines)}


def _for_another_task(kind: Any) -> bool:
    tables = {key: table.values() for key, table in vars(auto_pipeline).items() if key.startswith("AUTO_")}
    found = {key for key, kinds in tables.items() if kind in kinds}
    return bool(found) and "AUTO_TEXT2IMAGE_PIPELINES_MAPPING" not in found
