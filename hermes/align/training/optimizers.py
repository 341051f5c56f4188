"""The optimizers: torch's AdamW, fused on GPUs, and the one of torchao that keeps its moments in 8 bits."""

from collections.abc import Mapping
from importlib.util import find_spec

import torch
from torch import nn

from hermes.align.settings import TrainSettings
from hermes.align.training.depth import shares
from hermes.harness.system.errors import HermesError


def check_optimizer(settings: TrainSettings) -> None:
    """Raise HermesError where the optimizer's library is missing."""
    if settings.optimizer == "adamw8bit" and find_spec("torchao") is None:
        raise HermesError("optimizer: adamw8bit needs torchao; run `pip install torchao`, or leave it out")


def new_optimizer(
    weights: Mapping[str, nn.Parameter], settings: TrainSettings, device: torch.device
) -> torch.optim.Optimizer:
    """An optimizer of these weights, by name in the module's order, on this device.

    Its groups are what learns at one rate: ``share`` times that of a step.
    """
    check_optimizer(settings)
    groups: dict[float, list[nn.Parameter]] = {}
    for weight, share in zip(weights.values(), shares(list(weights), settings.layer_decay), strict=True):
        groups.setdefault(share, []).append(weight)
    given = [{"params": members, "lr": share * settings.lr, "share": share} for share, members in groups.items()]
    if settings.optimizer == "adamw8bit":
        from torchao.optim import AdamW8bit

        made: torch.optim.Optimizer = AdamW8bit(given, lr=settings.lr, weight_decay=settings.weight_decay)
        return made
    # Where torch chooses, it never takes the fused kernel, which reads and writes each number once.
    fused = True if device.type == "cuda" else None
    return torch.optim.AdamW(given, lr=settings.lr, weight_decay=settings.weight_decay, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, of which each group has its share."""
    for group in optimizer.param_groups:
        own = group["share"] * rate
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own
