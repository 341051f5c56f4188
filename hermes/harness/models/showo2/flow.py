"""Show-o2's flow head: states of the language model and a time to the velocity of a picture's latents.

Source: showlab/Show-o, commit 45a5a2d, show-o2/models. The whole sequence goes through it. Tokens of the picture and
its time token are modulated by the time; text is not: shift 0, scale 0, gate 1.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

THETA = 500000.0
SCALING: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": THETA,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
EPS, LAST_EPS = 1e-5, 1e-6


@dataclass(frozen=True)
class HeadSizes:
    """``width`` is that of the states, ``head`` of one attention head; ``inner`` is the MLP's."""

    width: int
    head: int
    heads: int
    kv_heads: int
    inner: int
    layers: int
    out: int


class Rotary:
    """Angles of places by Llama 3's scaled frequencies; no tensor of the network, so that it stays float32."""

    def __init__(self, head: int) -> None:
        with torch.device("cpu"):  # also while the network around it is made without storage
            settings = LlamaConfig(
                hidden_size=head,
                num_attention_heads=1,
                head_dim=head,
                max_position_embeddings=int(SCALING["factor"] * SCALING["original_max_position_embeddings"]),
                rope_parameters=dict(SCALING),
            )
            self.frequencies, self.scale = ROPE_INIT_FUNCTIONS["llama3"](settings, torch.device("cpu"))

    def __call__(self, places: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, 1, L, head) of places (B, L)."""
        angles = places[..., None].float() * self.frequencies.to(places.device)
        angles = torch.cat([angles, angles], -1)[:, None]
        return (angles.cos() * self.scale).to(dtype), (angles.sin() * self.scale).to(dtype)


def rotated(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, L, head) turned by ``rotary``, halves against each other."""
    first, second = x.chunk(2, -1)
    return x * rotary[0] + torch.cat([-second, first], -1) * rotary[1]


class Attention(nn.Module):
    """Grouped attention with normalised queries and keys; ``number`` is the layer's in a cache."""

    def __init__(self, sizes: HeadSizes, number: int) -> None:
        super().__init__()
        self.sizes, self.number = sizes, number
        self.q_proj = nn.Linear(sizes.width, sizes.heads * sizes.head, bias=False)
        self.k_proj = nn.Linear(sizes.width, sizes.kv_heads * sizes.head, bias=False)
        self.v_proj = nn.Linear(sizes.width, sizes.kv_heads * sizes.head, bias=False)
        self.o_proj = nn.Linear(sizes.heads * sizes.head, sizes.width, bias=False)
        self.q_norm = Qwen2RMSNorm(sizes.head, eps=LAST_EPS)
        self.k_norm = Qwen2RMSNorm(sizes.head, eps=LAST_EPS)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], allowed: Tensor, cache: Any = None) -> Tensor:
        q, k, v = (
            project(x).unflatten(-1, (-1, self.sizes.head)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k, v = rotated(self.q_norm(q).transpose(1, 2), rotary), self.k_norm(k).transpose(1, 2), v.transpose(1, 2)
        k = rotated(k, rotary)
        if cache is not None:
            k, v = cache.update(k, v, self.number)
        group = self.sizes.heads // self.sizes.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        out = scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        told: Tensor = self.o_proj(out.transpose(1, 2).flatten(2))
        return told


class Mlp(nn.Module):
    """SiLU-gated."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))
        return out


def modulation(made: Tensor, count: int, places: Tensor | None) -> list[Tensor]:
    """``count`` tensors (B, 1, width) from (B, count * width); where ``places`` (B, L) are given, 0 at all others."""
    parts = made[:, None].chunk(count, -1)
    return list(parts) if places is None else [part * places[..., None].to(part) for part in parts]


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by the time."""

    def __init__(self, sizes: HeadSizes, number: int) -> None:
        super().__init__()
        self.self_attn = Attention(sizes, number)
        self.mlp = Mlp(sizes.width, sizes.inner)
        self.input_layernorm = Qwen2RMSNorm(sizes.width, eps=EPS)
        self.post_attention_layernorm = Qwen2RMSNorm(sizes.width, eps=EPS)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(sizes.width, 6 * sizes.width))

    def forward(
        self,
        x: Tensor,
        time: Tensor | None,
        places: Tensor | None,
        rotary: tuple[Tensor, Tensor],
        allowed: Tensor,
        cache: Any = None,
    ) -> Tensor:
        if time is None:
            x = x + self.self_attn(self.input_layernorm(x), rotary, allowed, cache)
            out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
            return out
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation(self.adaLN_modulation(time), 6, places)
        if places is not None:
            gate1, gate2 = (gate + (~places)[..., None].to(gate) for gate in (gate1, gate2))
        x = x + gate1 * self.self_attn(self.input_layernorm(x) * (1 + scale1) + shift1, rotary, allowed, cache)
        out = x + gate2 * self.mlp(self.post_attention_layernorm(x) * (1 + scale2) + shift2)
        return out


class Last(nn.Module):
    """States to velocities."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm_final = Qwen2RMSNorm(width, eps=LAST_EPS)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.linear = nn.Linear(width, out)

    def forward(self, x: Tensor, time: Tensor, places: Tensor | None = None) -> Tensor:
        shift, scale = modulation(self.adaLN_modulation(time), 2, places)
        out: Tensor = self.linear(self.norm_final(x) * (1 + scale) + shift)
        return out


def run(block: nn.Module, recompute: bool, *given: Any) -> Any:
    """The block's output; with ``recompute`` its activations are computed again for the backward pass."""
    if recompute and block.training and torch.is_grad_enabled():
        return checkpoint(block, *given, use_reentrant=False)
    return block(*given)
