"""The published weights into the model: by their key names, in float32, with every missing tensor reported."""

import math
import pickle
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hermes.harness.judges.mplug.config import CONFIG_FILE, MPlugConfig
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.system.errors import HermesError

HEAD = "text_decoder.cls.predictions."
TIED = (
    (HEAD + "decoder.weight", "text_decoder.bert.embeddings.word_embeddings.weight"),
    (HEAD + "decoder.bias", HEAD + "bias"),
)
POSITIONS = "visual_encoder.visual.positional_embedding"


def load_model(path: Path, config: MPlugConfig, device: str) -> MPlug:
    """The model with the weights of a .bin or .safetensors file, ready to answer on ``device``.

    Of a tied pair (embeddings and output matrix, the two names of the output bias) each takes its own key, or the
    other's where the file has only one. Raises HermesError for a file that cannot be read, tensors that are missing or
    have another shape than the settings want, and weights that are not finite.
    """
    with torch.device("meta"):
        model = MPlug(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    weights = read_weights(path, {*wanted, *(name for pair in TIED for name in pair)})
    for one, other in TIED:
        for name, twin in ((one, other), (other, one)):
            if twin in weights:
                weights.setdefault(name, weights[twin])
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise HermesError(
            f"{path} lacks {len(missing)} of the {len(wanted)} tensors that the judge needs, such as {missing[0]}; "
            "give the published checkpoint of mPLUG-large VQA"
        )
    for name, shape in wanted.items():
        _check(path, name, weights[name], shape, config)
    state = {name: weights[name].to(device, torch.float32) for name in wanted}
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False).eval()


def read_weights(path: Path, names: Collection[str]) -> dict[str, Tensor]:
    """The tensors of these names that the file holds, on the CPU.

    The text ``model.`` is taken out of the file's keys, and wrapping ``model`` and ``module`` dictionaries are opened,
    as modelscope does. Tensors that are not asked for are not read.
    """
    read = _safetensors if path.suffix == ".safetensors" else _pickled
    try:
        return read(path, names)
    except pickle.UnpicklingError:
        raise HermesError(
            f"{path} holds other Python objects than tensors, or is torn; "
            "download it again, or save its tensors alone as model.safetensors"
        ) from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{path} cannot be read ({reason}); download the file again") from None


def _safetensors(path: Path, names: Collection[str]) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        keys = {_published(key): key for key in file.keys()}  # noqa: SIM118
        return {name: file.get_tensor(key) for name, key in keys.items() if name in names}


def _pickled(path: Path, names: Collection[str]) -> dict[str, Tensor]:
    content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    for wrapper in ("model", "module"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no dictionary of tensors; give the published checkpoint of mPLUG-large VQA")
    found = {_published(str(key)): value for key, value in content.items() if isinstance(value, Tensor)}
    return {name: value for name, value in found.items() if name in names}


def _published(key: str) -> str:
    return key.replace("model.", "")


def _check(path: Path, name: str, tensor: Tensor, shape: tuple[int, ...], config: MPlugConfig) -> None:
    if name == POSITIONS and len(tensor) != config.positions:
        stored = math.isqrt(len(tensor) - 1) * config.clip_vision_patch_size
        raise HermesError(
            f"{path} has positions for images of {stored} x {stored}, but {CONFIG_FILE} says image_res "
            f"{config.image_res}; write image_res: {stored} there"
        )
    if tuple(tensor.shape) != shape:
        raise HermesError(
            f"{path}: {name} has the shape {tuple(tensor.shape)}, but the settings beside it want {shape}; "
            "give weights and settings of one checkpoint"
        )
    if not tensor.isfinite().all():
        raise HermesError(f"{path}: {name} holds values that are not finite; download the file again")
