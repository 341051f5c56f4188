"""An exponential moving average of the trained weights, which takes their place when the training ends."""

import torch
from torch import Tensor, nn

from hermes.align.training.sharding import trainable


class MovingAverage:
    """average <- decay average + (1 - decay) weights after every step; starts at the weights that it is given."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.values: dict[str, Tensor] = {
            name: weight.detach().clone().float() for name, weight in trainable(module).items()
        }

    @torch.no_grad()
    def update(self) -> None:
        for name, weight in trainable(self.module).items():
            self.values[name].lerp_(weight.float(), 1 - self.decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the averages into the module."""
        for name, weight in trainable(self.module).items():
            weight.copy_(self.values[name])
