"""The tensors of a MAGVITv2 checkpoint: one file or shards, safetensors or pickle."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

FILES = (
    "pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "diffusion_pytorch_model.bin",
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, or of the folder's weights, on the CPU as they are stored.

    Raises HermesError where nothing is there, a shard is missing or a file cannot be read.
    """
    if path.is_file():
        return _read_file(path)
    if not path.is_dir():
        raise HermesError(f"{path}: no such file or folder; give the folder of the checkpoint showlab/magvitv2")
    for name in FILES:
        if (path / name).is_file():
            return _read_file(path / name)
        if (path / f"{name}.index.json").is_file():
            return _read_shards(path / f"{name}.index.json")
    raise HermesError(f"{path} holds no weights ({', '.join(FILES)}); download showlab/magvitv2 completely")


def _read_shards(index: Path) -> dict[str, Tensor]:
    try:
        shard_of: dict[str, str] = dict(json_file(index)["weight_map"])
        shards = [index.parent / name for name in sorted(set(shard_of.values()))]
    except (OSError, ValueError, KeyError, TypeError):
        raise HermesError(f"{index} names no shards by a weight_map; download the checkpoint again") from None
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        if not shard.is_file():
            raise HermesError(f"{shard}, which {index.name} names, is missing; download the checkpoint completely")
        tensors |= _read_file(shard)
    if lost := [name for name in shard_of if name not in tensors]:
        raise HermesError(f"{index} names {lost[0]}, which no shard holds; download the checkpoint again")
    return tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        raise HermesError(f"{path} holds other objects than tensors, or is torn; download the file again") from None
    except Exception as error:
        # A torn pickle makes the reader fail with whatever its bytes happen to mean.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{path} cannot be read ({reason}); download the file again") from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise HermesError(f"{path} holds no dictionary of tensors; give the published checkpoint showlab/magvitv2")
    return {str(name): value for name, value in content.items()}
