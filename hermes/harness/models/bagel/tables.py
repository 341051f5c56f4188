"""Tables of places for checkpoints that lack them, as a training may, since the authors' code works them out anew.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/modeling_utils.py.
"""

import torch
from torch import Tensor

from hermes.harness.models.bagel.config import Settings


def with_tables(state: dict[str, Tensor], settings: Settings) -> dict[str, Tensor]:
    """The tensors, and the tables of seen and of drawn pictures if they are not among them."""
    names = "vit_pos_embed.pos_embed", "latent_pos_embed.pos_embed"
    lost = [(name, side) for name, side in zip(names, settings.sides, strict=True) if name not in state]
    return state | {name: table(side, settings.width) for name, side in lost}


def table(side: int, width: int) -> Tensor:
    """(side^2, width): sines and cosines of a place's column, then those of its row; worked out in float64."""
    waves = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = torch.arange(side)[:, None] * waves
    one = torch.cat([angles.sin(), angles.cos()], 1)
    return torch.cat([one.repeat(side, 1), one.repeat_interleave(side, 0)], 1).float()
