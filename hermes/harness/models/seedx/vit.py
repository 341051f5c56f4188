"""Qwen-VL's vision encoder: a frozen ViT whose patches are pooled to a fixed number of features.

Source: AILab-CVC/SEED-X commit 420d347, src/models/qwen_visual.py, after Qwen/Qwen-VL-Chat's visual.py.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from hermes.harness.models.seedx.resampler import Resampler, square_table

EPS = 1e-6
POOL_HEAD = 128
"""Width of a head of the pool; that of the blocks stands in the settings."""


class BlockAttention(nn.Module):
    """Self-attention whose projection is laid out head by head: queries, keys and values of one, then of the next."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        q, k, v = self.in_proj(rows).reshape(*rows.shape[:2], self.heads, -1).transpose(1, 2).chunk(3, -1)
        out: Tensor = self.out_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, inner)
        self.c_proj = nn.Linear(inner, width)

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = self.c_proj(gelu(self.c_fc(rows)))
        return out


class Block(nn.Module):
    """A pre-norm block."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, EPS)
        self.attn = BlockAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width, EPS)
        self.mlp = FeedForward(width, inner)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows + self.attn(self.ln_1(rows))
        out: Tensor = rows + self.mlp(self.ln_2(rows))
        return out


class Blocks(nn.Module):
    """All blocks, under the published names."""

    def __init__(self, width: int, inner: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, inner, heads) for _ in range(layers))

    def forward(self, rows: Tensor) -> Tensor:
        for block in self.resblocks:
            rows = block(rows)
        return rows


class VisionEncoder(nn.Module):
    """Normalised pixels (B, 3, S, S) to features (B, queries, width out)."""

    def __init__(self, state: Mapping[str, Tensor], heads: int) -> None:
        """Sizes are those of the tensors; raises KeyError for a name that is not there."""
        super().__init__()
        width, _, patch, _ = state["conv1.weight"].shape
        queries, out = state["attn_pool.query"].shape
        inner = len(state["transformer.resblocks.0.mlp.c_fc.bias"])
        layers = {name.split(".")[2] for name in state if name.startswith("transformer.resblocks.")}
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.positional_embedding = nn.Parameter(torch.empty(len(state["positional_embedding"]), width))
        self.ln_pre = nn.LayerNorm(width, EPS)
        self.transformer = Blocks(width, inner, heads, len(layers))
        self.attn_pool = Resampler(queries, out, width, max(out // POOL_HEAD, 1), EPS)
        self.ln_post = nn.LayerNorm(out, EPS)
        self.proj = nn.Parameter(torch.empty(out, out))

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.conv1(pixels.to(self.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        rows = rows + square_table(self.positional_embedding, rows.shape[1])
        pooled = self.attn_pool(self.transformer(self.ln_pre(rows)))
        features: Tensor = self.ln_post(pooled) @ self.proj
        return features


def pooled(features: Tensor, count: int) -> Tensor:
    """Features (B, T, width) to (B, count, width): the means of neighbours, as the drawn features are trained."""
    return features.reshape(len(features), count, -1, features.shape[-1]).mean(2)
