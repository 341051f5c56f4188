"""Attention from learned queries to a row of features: the vision encoder's pool, and both ways through the LLM.

Source: AILab-CVC/SEED-X commit 420d347, src/models/qwen_resampler.py and src/models/qwen_visual.py.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention


class Attention(nn.Module):
    """The weights of a multi-head attention under torch's names; queries, keys and values lie one below the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)


class Resampler(nn.Module):
    """Features (B, T, kv) to (B, queries, width); there is no residual and no feed-forward part.

    Keys have positions and values have none. ``pos_embed`` is a stored table of the queries' square grid; for another
    number of features it is interpolated to their grid. Both layer norms have the ``eps`` of the place: 1e-6 in the
    vision encoder, 1e-5 around the LLM.
    """

    def __init__(self, queries: int, width: int, kv: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads, self.eps = heads, eps
        self.query = nn.Parameter(torch.empty(queries, width))
        self.pos_embed = nn.Parameter(torch.empty(queries, width), requires_grad=False)
        self.kv_proj = nn.Linear(kv, width, bias=False)
        self.attn = Attention(width)
        self.ln_q = nn.LayerNorm(width, eps)
        self.ln_kv = nn.LayerNorm(width, eps)

    def forward(self, features: Tensor) -> Tensor:
        kv = self.ln_kv(self.kv_proj(features))
        query = self.ln_q(self.query) + self.pos_embed
        key = kv + square_table(self.pos_embed, kv.shape[1]).to(kv.dtype)
        weights, biases = self.attn.in_proj_weight.chunk(3), self.attn.in_proj_bias.chunk(3)
        rows = (query[None], key, kv)
        q, k, v = (self._split(linear(row, w, b)) for row, w, b in zip(rows, weights, biases, strict=True))
        seen = scaled_dot_product_attention(q.expand(len(kv), -1, -1, -1), k, v)
        out: Tensor = self.attn.out_proj(seen.transpose(1, 2).flatten(2))
        return out

    def _split(self, rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape[:2], self.heads, -1).transpose(1, 2)


def square_table(table: Tensor, count: int) -> Tensor:
    """A table (n, width) of a square grid, interpolated bicubically in float32 to a square grid of ``count`` cells."""
    if len(table) == count:
        return table
    old, new = math.isqrt(len(table)), math.isqrt(count)
    grid = table.float().T.reshape(1, -1, old, old)
    wide = interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return wide[0].flatten(1).T.to(table.dtype)
