"""The LLM's weights that a fine-tuning by the authors' scripts leaves beside the resamplers: whole, or LoRA's factors.

Source: AILab-CVC/SEED-X commit 420d347, src/models/mllm/peft_models.py and configs/clm_models/*lora*.yaml (r 32,
alpha 32; norms, embeddings and head are trained whole).
"""

from typing import Any

import torch
from torch import Tensor

from hermes.harness.system.errors import HermesError

PREFIX, WRAPPED = "llm.", "base_model.model."
ALPHA = 32
WHOLE, ORIGINAL, BASE = ".modules_to_save.default", ".original_module", ".base_layer"


def take(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The LLM's tensors, taken out of those of the file ``agent``, under the LLM's own names."""
    names = [name for name in state if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX).removeprefix(WRAPPED): state.pop(name) for name in names}


@torch.no_grad()
def overlay(llm: Any, stored: dict[str, Tensor], what: str) -> None:
    """Put the tensors over the network's own. Raises HermesError, which begins with ``what``, for one with no place."""
    held = {name: tensor for name, tensor in stored.items() if not name.endswith("rotary_emb.inv_freq")}
    ups = {name for name in held if ".lora_A." in name}
    downs = {name: name.replace(".lora_A.", ".lora_B.") for name in ups}
    whole = {
        name.replace(WHOLE, "").replace(BASE, ""): tensor
        for name, tensor in held.items()
        if ".lora_" not in name and ORIGINAL not in name
    }
    own = llm.state_dict()
    odd = [name for name, tensor in whole.items() if name not in own or own[name].shape != tensor.shape]
    odd += [name for name in ups if not _fits(held[name], held.get(downs[name]), own.get(_layer(name)))]
    odd += [name for name in held if ".lora_B." in name and name.replace(".lora_B.", ".lora_A.") not in ups]
    if odd:
        raise HermesError(
            f"{what} holds {len(odd)} tensors that the LLM has no place for, such as {min(odd)}; give one "
            "that was trained on this model"
        )
    for name, tensor in whole.items():
        own[name].copy_(tensor)
    for name, other in downs.items():
        up, down = held[name].float(), held[other].float()
        own[_layer(name)].add_((down @ up * (ALPHA / len(up))).to(own[_layer(name)]))


def _fits(up: Tensor, down: Tensor | None, layer: Tensor | None) -> bool:
    """Whether LoRA's factors A and B are both there, of one rank, and make a change of the layer's shape."""
    if down is None or layer is None or not up.ndim == down.ndim == 2:
        return False
    return 0 < len(up) == down.shape[1] and (len(down), up.shape[1]) == layer.shape


def _layer(name: str) -> str:
    return name.partition(".lora_")[0] + ".weight"
