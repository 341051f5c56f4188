"""The layers: each token has its expert's weights, and all tokens of a row attend together.

Tokens of all rows stand one behind the other, without pads: first those of the understanding expert (words, marks of
pictures, seen pictures), then those of the generation expert (drawn pictures).
Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/qwen2_navit.py (Qwen2MoTDecoderLayer).
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from hermes.harness.models.bagel.config import Settings

Parts = tuple[Tensor, Tensor]
"""The tokens of the understanding and of the generation expert, (U, ...) and (G, ...)."""


class Attention(Protocol):
    """Who sees whom: queries (T, H, D), keys and values (T, K, D) of a layer's tokens to (T, H, D)."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class Norm(nn.Module):
    """RMSNorm as Qwen2 has it: in float32, then scaled in the input's type."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class Mlp(nn.Module):
    """Qwen2's gated one."""

    def __init__(self, settings: Settings) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        width, inner = settings.width, int(settings.llm["intermediate_size"])
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.act: Callable[[Tensor], Tensor] = ACT2FN[settings.act]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))
        return y


def _both(made: Callable[[], nn.Module], owner: nn.Module, name: str) -> None:
    """The module of both experts, under the published names."""
    owner.add_module(name, made())
    owner.add_module(f"{name}_moe_gen", made())


def _apply(owner: nn.Module, name: str, x: Parts) -> Parts:
    """Each expert on its tokens."""
    return _run(getattr(owner, name), x[0]), _run(getattr(owner, f"{name}_moe_gen"), x[1])


def _run(expert: nn.Module, x: Tensor) -> Tensor:
    """Without a gradient an expert of no tokens does nothing; with one it takes part all the same, so that processes
    which train together have gradients of the same weights.
    """
    if len(x) or torch.is_grad_enabled():
        y: Tensor = expert(x)
        return y
    width = getattr(expert, "out_features", None)
    return x if width is None else x.new_empty(0, int(width))


class SelfAttention(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, head = settings.width, settings.head
        self.head = head
        for name, heads in (("q", settings.heads), ("k", settings.kv_heads), ("v", settings.kv_heads)):
            _both(lambda heads=heads: nn.Linear(width, heads * head), self, f"{name}_proj")  # type: ignore[misc]
        _both(lambda: nn.Linear(settings.heads * head, width, bias=False), self, "o_proj")
        for name in ("q_norm", "k_norm"):
            _both(lambda: Norm(head, settings.eps), self, name)

    def forward(self, x: Parts, turn: tuple[Tensor, Tensor], attend: Attention, layer: int) -> Parts:
        query, key, value = (self._split(_apply(self, f"{name}_proj", x)) for name in "qkv")
        q, k = (
            rotated(torch.cat(_apply(self, f"{name}_norm", part)), turn) for name, part in (("q", query), ("k", key))
        )
        seen = attend(layer, q, k, torch.cat(value)).flatten(1)
        return _apply(self, "o_proj", (seen[: len(x[0])], seen[len(x[0]) :]))

    def _split(self, x: Parts) -> Parts:
        first, second = (part.view(len(part), part.shape[1] // self.head, self.head) for part in x)
        return first, second


class Layer(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.self_attn = SelfAttention(settings)
        _both(lambda: Mlp(settings), self, "mlp")
        for name in ("input_layernorm", "post_attention_layernorm"):
            _both(lambda: Norm(settings.width, settings.eps), self, name)

    def forward(self, und: Tensor, gen: Tensor, turn: tuple[Tensor, Tensor], attend: Attention, layer: int) -> Parts:
        x = und, gen
        x = _plus(x, self.self_attn(_apply(self, "input_layernorm", x), turn, attend, layer))
        return _plus(x, _apply(self, "mlp", _apply(self, "post_attention_layernorm", x)))


class Body(nn.Module):
    def __init__(self, settings: Settings, vocabulary: int, layers: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, settings.width)
        self.layers = nn.ModuleList(Layer(settings) for _ in range(layers))
        _both(lambda: Norm(settings.width, settings.eps), self, "norm")


class Experts(nn.Module):
    """The language model with its two experts a layer. ``recompute``: gradient checkpointing, layer by layer."""

    def __init__(self, settings: Settings, vocabulary: int, layers: int) -> None:
        super().__init__()
        self.model = Body(settings, vocabulary, layers)
        self.lm_head = nn.Linear(settings.width, vocabulary, bias=False)
        self.head, self.theta = settings.head, settings.theta
        self.recompute = False

    def forward(self, und: Tensor, gen: Tensor, places: Tensor, attend: Attention) -> Parts:
        """Normalised states (U, width) and (G, width) of tokens at rotary ``places`` (U + G,)."""
        turn = rotations(places, self.head, self.theta, und.dtype)
        again = self.recompute and torch.is_grad_enabled()
        for number, layer in enumerate(self.model.layers):
            inputs: tuple[Any, ...] = (und, gen, turn, attend, number)
            und, gen = checkpoint(layer, *inputs, use_reentrant=False) if again else layer(*inputs)
        return _apply(self.model, "norm", (und, gen))

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., width) to float32 logits (..., V) of the whole vocabulary, unused rows included."""
        return self.lm_head(hidden.to(self.lm_head.weight)).float()  # type: ignore[no-any-return]


def rotations(places: Tensor, head: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, 1, head) of the rotary angles, which are worked out in float32."""
    steps = torch.arange(0, head, 2, device=places.device).float() / head
    angles = places[:, None].float() * (1.0 / theta**steps)
    angles = torch.cat([angles, angles], -1)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """(T, heads, head) turned by halves."""
    first, second = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-second, first], -1) * turn[1]


def attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of (B, L, H, D) queries to (B, N, K, D) keys in groups of H / K, (B, L, H, D).

    ``mask`` (B, 1 or L, N) is True where a key is seen. Where all queries of a row see the same keys, those of a group
    stand one behind the other, so that no key is copied.
    """
    rows, length, heads, head = query.shape
    groups = heads // key.shape[2]
    key, value = key.transpose(1, 2), value.transpose(1, 2)
    if mask is not None and mask.shape[1] > 1:
        key, value = (part.repeat_interleave(groups, 1) for part in (key, value))
        seen = scaled_dot_product_attention(query.transpose(1, 2), key, value, attn_mask=mask[:, None])
        return seen.transpose(1, 2)
    grouped = query.reshape(rows, length, heads // groups, groups, head).permute(0, 2, 3, 1, 4)
    folded = grouped.reshape(rows, heads // groups, groups * length, head)
    seen = scaled_dot_product_attention(folded, key, value, attn_mask=None if mask is None else mask[:, None])
    seen = seen.view(rows, heads // groups, groups, length, head)
    return seen.permute(0, 3, 1, 2, 4).reshape(rows, length, heads, head)


def _plus(x: Parts, y: Parts) -> Parts:
    return x[0] + y[0], x[1] + y[1]
