"""What stands in for SDXL's text encoders: features of a picture to the denoiser's conditions.

Source: AILab-CVC/SEED-X commit 420d347, src/models/detokenizer/resampler.py (ResamplerXLV2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class Conditions:
    """One row for each picture: ``words`` (B, T, cross-attention width) and ``whole`` (B, width of pooled text)."""

    words: Tensor
    whole: Tensor


class PerceiverAttention(nn.Module):
    """Latents attend to features and to themselves."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        features, latents = self.norm1(features), self.norm2(latents)
        parts = self.to_q(latents), *self.to_kv(torch.cat([features, latents], 1)).chunk(2, -1)
        q, k, v = (part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
        out: Tensor = self.to_out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class AttentionPool(nn.Module):
    """CLIP's attention pool: the rows' mean attends to itself and the rows."""

    def __init__(self, count: int, width: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(count, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, out)

    def forward(self, rows: Tensor) -> Tensor:
        rows = torch.cat([rows.mean(1, keepdim=True), rows], 1) + self.positional_embedding
        parts = self.q_proj(rows[:, :1]), self.k_proj(rows), self.v_proj(rows)
        q, k, v = (part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
        out: Tensor = self.c_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))
        return out


class ConditionResampler(nn.Module):
    """Features (B, N, width) of a picture to Conditions of a fixed number of rows."""

    def __init__(self, state: Mapping[str, Tensor], heads: int) -> None:
        """Sizes are those of the tensors; raises KeyError for a name that is not there."""
        super().__init__()
        _, latents, width = state["latents"].shape
        depth = len({name.split(".")[1] for name in state if name.startswith("layers.")})
        inner, wide = len(state["layers.0.0.to_q.weight"]), len(state["layers.0.1.1.weight"])
        self.latents = nn.Parameter(torch.empty(1, latents, width))
        self.proj_in = nn.Linear(state["proj_in.weight"].shape[1], width)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(width, inner, heads),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, wide, bias=False),
                        nn.GELU(),
                        nn.Linear(wide, width, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(width)
        self.unet_proj_1 = nn.Linear(width, len(state["unet_proj_1.bias"]))
        self.unet_proj_2 = nn.Linear(width, len(state["unet_proj_2.bias"]))
        self.unet_attnpool = AttentionPool(latents + 1, width, len(state["unet_attnpool.c_proj.bias"]), heads)
        self.split_widths = (inner, width)
        """What the heads must divide."""

    def forward(self, features: Tensor) -> Conditions:
        rows = self.proj_in(features.to(self.latents.dtype))
        latents = self.latents.expand(len(rows), -1, -1)
        layer: Any
        for layer in self.layers:
            latents = latents + layer[0](rows, latents)
            latents = latents + layer[1](latents)
        latents = self.norm_out(latents)
        words = torch.cat([self.unet_proj_1(latents), self.unet_proj_2(latents)], -1)
        return Conditions(words, self.unet_attnpool(latents))
