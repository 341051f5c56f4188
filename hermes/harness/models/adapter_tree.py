"""Where an adapter's tensors belong in a network, also where it was trained on a tree with more or fewer levels."""

from collections.abc import Iterable
from typing import Any

import torch
from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.utils import set_peft_model_state_dict
from torch import Tensor, nn

from hermes.harness.system.errors import HermesError

OUTER = "base_model.model."
PARTS = {"language_model", "text_model", "text_encoder", "llm", "vision_model", "vision_tower", "visual", "thinker"}
ADVICE = "give one that was trained on this model"


def put_on(network: nn.Module, config: Any, stored: dict[str, Tensor], what: str) -> PeftModel:
    """PEFT's model around the network, with all that is stored in its place.

    Raises HermesError, which begins with ``what``, where a tensor has no place or a place no tensor.
    """
    stored = {name if name.startswith("base_model.") else OUTER + name: tensor for name, tensor in stored.items()}
    mark = PEFT_TYPE_TO_PREFIX_MAPPING[config.peft_type]
    layers = _layers(stored, mark)
    own = {name for name, _ in network.named_modules()}
    above, below = _levels(layers, own)
    try:
        wrapped = PeftModel(_shell(network.get_submodule(below), above), config)
        found: Any = set_peft_model_state_dict(wrapped, stored)
    except KeyError as error:  # a module that was trained whole
        raise HermesError(f"{what} does not fit: it lacks {error.args[0]}; {ADVICE}") from None
    except ValueError as error:  # settings that name no layer of the network
        reason = " ".join(str(error).split())[:120]
        raise HermesError(f"{what} does not fit ({reason}); {_looked_for(layers, own)}") from None
    if found.unexpected_keys:
        odd = found.unexpected_keys
        raise HermesError(
            f"{what} does not fit: {len(odd)} of its {len(stored)} tensors have no place, such as {odd[0]}; "
            f"{_looked_for(layers, own)}"
        )
    weights = dict(wrapped.named_parameters(remove_duplicate=False))
    shared = {id(weight) for name, weight in weights.items() if name not in found.missing_keys}
    empty = [
        name
        for name in found.missing_keys
        if name in weights and id(weights[name]) not in shared and any(p.startswith(mark) for p in name.split("."))
    ]
    if empty:
        raise HermesError(f"{what} does not fit: it lacks {len(empty)} tensors, such as {empty[0]}; {ADVICE}")
    return wrapped


def marks(network: nn.Module) -> dict[str, tuple[float, float, float]]:
    """Sum, smallest and largest number of every tensor: what tells in one pass that one was changed."""
    return {
        name: (float(tensor.sum(dtype=torch.float32)), float(tensor.min()), float(tensor.max()))
        for name, tensor in network.state_dict().items()
        if tensor.numel() and not tensor.is_meta
    }


def _layers(stored: Iterable[str], mark: str) -> list[str]:
    """The layers that the tensors belong to; ``mark`` begins the names of the adapter's own parameters."""
    layers = set()
    for name in stored:
        parts = name.removeprefix(OUTER).split(".")
        cut = next((place for place, part in enumerate(parts) if part.startswith(mark)), 0)
        layers.add(".".join(part for part in parts[:cut] if part != "base_layer"))
    return sorted(layers - {"", "base_model"})


def _levels(layers: list[str], own: set[str]) -> tuple[str, str]:
    """The levels that the adapter's tree has above its layers, and the module of the network that stands below them.

    It has some that the network has not, or lacks some, or has the same in another order (language_model.model and
    model.language_model). Both are "" where the trees are the same, and where none of this or more than one thing fits.
    An adapter of another model must not, such as one of the language model that is a part of it.
    """
    if all(layer in own for layer in layers):
        return "", ""
    parts = layers[0].split(".")
    for cut in range(len(parts)):
        above = parts[:cut]
        if not all(layer.split(".")[:cut] == above for layer in layers):
            break
        rest = [".".join(layer.split(".")[cut:]) for layer in layers]
        begins = {""} | {name.removesuffix(f".{rest[0]}") for name in own if name.endswith(f".{rest[0]}")}
        fitting = [
            below
            for below in begins
            if all(f"{below}.{layer}".lstrip(".") in own for layer in rest)
            and (not above or (not below and PARTS.isdisjoint(above)) or sorted(below.split(".")) == sorted(above))
        ]
        if fitting:
            return (".".join(above), fitting[0]) if len(fitting) == 1 else ("", "")
    return "", ""


def _shell(network: nn.Module, above: str) -> nn.Module:
    """The network at the end of the levels ``above`` it."""
    for part in reversed(above.split(".") if above else []):
        outer = nn.Module()
        outer.add_module(part, network)
        network = outer
    return network


def _looked_for(layers: list[str], own: set[str]) -> str:
    lost = [layer for layer in layers if layer not in own]
    if not lost:
        return ADVICE
    last = lost[0].rpartition(".")[2]
    like = min((name for name in own if name.rpartition(".")[2] == last), default="")
    there = f"the model has {like}" if like else f"the model has no {last}"
    return f"looked for the layer {lost[0]}, {there}; {ADVICE}"
