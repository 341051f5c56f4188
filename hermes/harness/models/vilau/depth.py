"""The depth transformer: from the language model's state to the residual codes of one position, one after the other.

Source: mit-han-lab/vila-u, commit 096623c (the head of an RQ-Transformer, arXiv 2203.01941). Its training has a dropout
of 0.1 behind attention and MLP, which is left out: policy and reference of a preference training are one function.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values (R, heads, t, width / heads) of each block."""


class DepthTransformer(nn.Module):
    """D codes a position, out of K; C is the width of the codebook, H that of the language model, E its own.

    Parameters have the published names. ``recompute`` keeps each block's input alone for the backward pass.
    """

    def __init__(self, depth: int, codes: int, width: int, heads: int, blocks: int, inner: int, c: int, h: int) -> None:
        super().__init__()
        self.pos_emb_d = nn.Parameter(torch.zeros(1, depth, width))
        self.in_mlp_1, self.in_mlp_2 = nn.Linear(c, width), nn.Linear(h, width)
        made = nn.ModuleList(Block(width, heads, inner) for _ in range(blocks))
        self.head_transformer: Any = nn.ModuleDict({"blocks": made})
        self.classifier_mlp: Any = nn.ModuleDict({"layer_norm": nn.LayerNorm(width), "linear": nn.Linear(width, codes)})
        self.recompute = False

    def forward(self, hidden: Tensor, sums: Tensor) -> Tensor:
        """Logits (R, D, K) with the true codes before each: states (R, H) of the language model, one place before.

        ``sums`` (R, D - 1, C): the sum of the codebook's rows of all codes up to each depth but the last.
        """
        inputs = torch.cat([self.in_mlp_2(hidden)[:, None], self.in_mlp_1(sums)], 1)
        return self._logits(inputs, 0, None)

    def first(self, hidden: Tensor, cache: Cache) -> Tensor:
        """Logits (R, K) of the first code from states (R, H); fills the empty ``cache``."""
        return self._logits(self.in_mlp_2(hidden)[:, None], 0, cache)[:, 0]

    def next(self, total: Tensor, place: int, cache: Cache) -> Tensor:
        """Logits (R, K) of code number ``place`` from the sum (R, C) of the rows of all codes before it."""
        return self._logits(self.in_mlp_1(total)[:, None], place, cache)[:, 0]

    def _logits(self, inputs: Tensor, begin: int, cache: Cache | None) -> Tensor:
        states = inputs + self.pos_emb_d[:, begin : begin + inputs.shape[1]]
        for number, block in enumerate(self.head_transformer["blocks"]):
            if cache is not None:
                states = block(states, cache, number)
            elif self.recompute and torch.is_grad_enabled():
                states = checkpoint(block, states, use_reentrant=False)
            else:
                states = block(states)
        out: Tensor = self.classifier_mlp["linear"](self.classifier_mlp["layer_norm"](states))
        return out


class Block(nn.Module):
    """A pre-norm block: causal attention over depth, then an MLP with the exact GELU."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({name: nn.Linear(width, width) for name in ("key", "query", "value", "proj")})
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, states: Tensor, cache: Cache | None = None, number: int = 0) -> Tensor:
        """(R, T, E) to the same; with a ``cache``, of which this is block ``number``, T is 1."""
        rows, length, width = states.shape
        seen = self.ln1(states)
        query, key, value = (
            self.attn[name](seen).view(rows, length, self.heads, width // self.heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        if cache is not None:
            if number == len(cache):
                cache.append((key, value))
            else:
                before = cache[number]
                key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
                cache[number] = (key, value)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        states = states + self.attn["proj"](mixed.transpose(1, 2).reshape(rows, length, width))
        out: Tensor = states + self.mlp(self.ln2(states))
        return out
