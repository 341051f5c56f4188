"""Chameleon's VQGAN read and written: Meta's two files, or a folder in transformers' layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from hermes.harness.models.chameleon_vq.codec import Codec
from hermes.harness.models.chameleon_vq.config import parse_config
from hermes.harness.models.chameleon_vq.places import CHECKPOINT, CONFIG, WEIGHTS, YAML
from hermes.harness.models.tensors import read_tensors
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

ANCHOR = "quantize.embedding.weight"


def read_codec(folder: Path) -> Codec:
    """The VQGAN of a folder: vqgan.yaml with vqgan.ckpt, or config.json with weights in transformers' layout.

    Raises HermesError for what is missing, torn or of another kind.
    """
    if (folder / YAML).is_file():
        settings, weights = _yaml(folder / YAML), folder / CHECKPOINT
        weights = weights if weights.is_file() else folder
    else:
        settings, weights = _json(folder / CONFIG), folder
    config = parse_config(settings, str(folder / (YAML if (folder / YAML).is_file() else CONFIG)))
    return Codec(config, own_names(read_tensors(weights).tensors), str(weights))


def own_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VQGAN's tensors by their published names, without what stands before them."""
    found = next((name for name in tensors if f".{name}".endswith(f".{ANCHOR}")), ANCHOR)
    before = found.removesuffix(ANCHOR)
    return {name.removeprefix(before): tensor for name, tensor in tensors.items() if name.startswith(before)}


def write_codec(codec: Codec, folder: Path) -> None:
    """config.json and model.safetensors, from which ``read_codec`` makes the same."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(codec.config.as_json(), indent=2) + "\n", encoding="utf-8")
    state = {name: tensor.cpu().contiguous() for name, tensor in codec.state().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise HermesError(f"{path} cannot be read ({reason}); download it again") from None


def _json(path: Path) -> Any:
    try:
        return json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{path} cannot be read ({error}); download it again") from None
