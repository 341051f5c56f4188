"""CLIP's vision transformer as mPLUG uses it: all tokens after the last norm, no projection.

Architecture: Radford et al. 2021 (arXiv:2103.00020). Modules are named as the published checkpoint names them.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.judges.mplug.config import HEAD_WIDTH, MPlugConfig


class QuickGELU(nn.Module):
    """CLIP's approximation: z * sigmoid(1.702 z)."""

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.sigmoid(1.702 * z)


class Block(nn.Module):
    """A pre-norm transformer block without a mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": QuickGELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(n, L, width) to the same."""
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class VisionTransformer(nn.Module):
    """Pixels (n, 3, R, R) to states (n, 1 + patches, width), the class token first."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        width = config.clip_vision_width
        self.patch = config.clip_vision_patch_size
        self.conv1 = nn.Conv2d(3, width, self.patch, self.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(config.positions, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = nn.Sequential(*(Block(width) for _ in range(config.clip_vision_layers)))
        self.transformer = nn.Sequential(OrderedDict(resblocks=blocks))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        # A matrix product: on GPUs torch rounds convolutions, but no products, to TF32 unless it is told otherwise.
        patches = F.unfold(pixels, self.patch, stride=self.patch).transpose(1, 2)
        tokens = F.linear(patches, self.conv1.weight.flatten(1))
        first = self.class_embedding.expand(len(tokens), 1, -1)
        x = self.ln_pre(torch.cat([first, tokens], 1) + self.positional_embedding)
        states: Tensor = self.ln_post(self.transformer(x))
        return states
