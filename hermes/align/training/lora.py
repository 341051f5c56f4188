"""LoRA: low-rank updates on a model's blocks that are trained in place of its weights, then stored and merged."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.align.settings import TrainSettings
from hermes.harness.contracts.model import Alignable
from hermes.harness.system.errors import HermesError


class Lora:
    """The adapter of one training. With it off, the network is the reference (arXiv 2106.09685; PEFT's layout)."""

    def __init__(self, model: Alignable, settings: TrainSettings, seed: int) -> None:
        from peft import LoraConfig, get_peft_model

        network = network_of(model)
        self._whole: list[tuple[nn.Parameter, Tensor]] = []
        self._trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
        targets = list(settings.lora_targets) or block_layers(network)
        config = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha or 2 * settings.lora_rank,
            target_modules=targets,
            lora_dropout=0.0,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.wrapped: Any = get_peft_model(network, config)
            except ValueError as error:
                raise HermesError(f"lora_targets: {' '.join(str(error).split())[:200]}") from None
        # What surrounds the network (a projector) is not part of the adapter, so it must not move either.
        self._around = [
            weight for name, weight in model.module.named_parameters() if weight.requires_grad and "lora_" not in name
        ]
        for weight in self._around:
            weight.requires_grad_(False)

    def halve(self, bf16: bool) -> None:
        """Hold the layers under the adapter in bfloat16 until they are merged, and their weights in the CPU's memory.

        Arithmetic in bfloat16 would make the same copy in every pass, and keep one for each pass until its gradient.
        """
        if not bf16:
            raise HermesError("lora_half: the arithmetic is not in bfloat16 here; give --bf16, or leave lora_half out")
        from peft.tuners.tuners_utils import BaseTunerLayer

        for layer in self.wrapped.modules():
            if isinstance(layer, BaseTunerLayer):
                for weight in layer.get_base_layer().parameters():
                    self._whole.append((weight, weight.data.cpu()))
                    weight.data = weight.data.bfloat16()

    def save(self, folder: Path) -> None:
        """Write adapter_config.json and adapter_model.safetensors, which ``--adapter`` reads."""
        self.wrapped.save_pretrained(folder)

    def merge(self) -> None:
        """Add the updates to the weights; the network has its own layers again and trains as before."""
        for weight, whole in self._whole:
            weight.data = whole.to(weight.device)
        self._whole.clear()
        network = self.wrapped.merge_and_unload()
        for name, weight in network.named_parameters():
            weight.requires_grad_(name in self._trained)
        for weight in self._around:
            weight.requires_grad_(True)


def network_of(model: Alignable) -> nn.Module:
    """The part of the model that an adapter sits on: its ``network``, else all that is trained."""
    network: nn.Module = getattr(model, "network", model.module)
    return network


def block_layers(network: nn.Module) -> list[str]:
    """The names of the linear layers in the network's trained blocks; heads and projectors are outside of blocks."""
    found = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear)
        and any(part.isdigit() for part in name.split("."))
        and all(weight.requires_grad for weight in layer.parameters())
    ]
    if not found:
        raise HermesError("this model has no linear layers in blocks; name layers with lora_targets")
    return found
