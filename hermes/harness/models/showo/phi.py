"""Show-o's transformer: Phi-1.5 with normalised queries and keys, an attention mask per row, and a key-value cache.

Source: Show-o commit 45a5a2d, models/phi.py and models/modeling_showo.py. The module's parameters have the published
names without their common prefix ``showo.``.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shape:
    """Sizes of the transformer; ``inner`` is the width of the MLP, ``rotary`` the share of a head that is rotated."""

    vocab: int
    width: int
    layers: int
    heads: int
    inner: int
    rotary: float = 0.5
    eps: float = 1e-5
    theta: float = 10000.0


def rotations(places: Tensor, size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, L, 1, size) of the rotary embedding at ``places`` (B, L); the left half's sines negated."""
    speed = theta ** -(torch.arange(0, size, 2, device=places.device, dtype=torch.float32) / size)
    angle = (places.float()[..., None] * speed)[:, :, None]
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first channels of (B, L, H, C), as many as ``turn`` has; the others stay."""
    size = turn[0].shape[-1]
    swapped = torch.cat([x[..., size // 2 : size], x[..., : size // 2]], -1)
    moved = x[..., :size] * turn[0] + swapped * turn[1]
    return torch.cat([moved, x[..., size:]], -1).to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention; one LayerNorm for all heads' queries and one for all keys, before the rotation."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        head = shape.width // shape.heads
        self.heads, self.head = shape.heads, head
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.dense = nn.Linear(shape.width, shape.width)
        self.q_layernorm = nn.LayerNorm(head, eps=shape.eps)
        self.k_layernorm = nn.LayerNorm(head, eps=shape.eps)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, length, width = x.shape
        split = (rows, length, self.heads, self.head)
        query = rotate(self.q_layernorm(self.q_proj(x).view(split)), turn).transpose(1, 2)
        key, value = self.remember(x, turn)
        if past is not None:
            end = mask.shape[-1]
            for room, new in zip(past, (key, value), strict=True):
                room.narrow(2, end - length, length).copy_(new)
            key, value = past[0].narrow(2, 0, end), past[1].narrow(2, 0, end)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        merged: Tensor = self.dense(seen.transpose(1, 2).reshape(rows, length, width))
        return merged, (key, value)

    def remember(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The keys and values of (B, L, width)."""
        split = (*x.shape[:2], self.heads, self.head)
        key = rotate(self.k_layernorm(self.k_proj(x).view(split)), turn).transpose(1, 2)
        return key, self.v_proj(x).view(split).transpose(1, 2)


class MLP(nn.Module):
    """Two linear layers with the tanh form of GELU between them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return y


class Layer(nn.Module):
    """Attention and MLP side by side behind one norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = nn.LayerNorm(shape.width, eps=shape.eps)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        normed = self.input_layernorm(x)
        attended, present = self.self_attn(normed, turn, mask, past)
        return attended + self.mlp(normed) + x, present

    def remember(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Its keys and values alone."""
        return self.self_attn.remember(self.input_layernorm(x), turn)


class Body(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.final_layernorm = nn.LayerNorm(shape.width, eps=shape.eps)


class Phi(nn.Module):
    """Token ids to hidden states; ``logits`` reads them out. ``recompute``: gradient checkpointing, layer by layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.lm_head = nn.Linear(shape.width, shape.vocab)
        self.recompute = False

    def forward(
        self,
        ids: Tensor,
        allowed: Tensor,
        past: Cache | None = None,
        places: Tensor | None = None,
        features: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Cache]:
        """Hidden states (B, L, width), normalised, and the cache up to and with these tokens.

        ids (B, L); allowed (B, L, P + L) bool, True = may attend, over P cached tokens and these; past: a cache with
        room, into which theirs is written behind the P; places (B, L) rotary positions, from P on where none are given;
        features: where (B, L) they stand instead of embeddings, and in that order their values (M, width).
        """
        x, turn, mask = self._begin(ids, allowed, places, features)
        present: Cache = []
        again = self.recompute and torch.is_grad_enabled()
        for index, layer in enumerate(self.model.layers):
            inputs = (x, turn, mask, past[index] if past else None)
            x, cached = checkpoint(layer, *inputs, use_reentrant=False) if again else layer(*inputs)
            if not again:  # keys and values that are computed again need not be held
                present.append(cached)
        hidden: Tensor = self.model.final_layernorm(x)
        return hidden, present

    def remember(self, ids: Tensor, allowed: Tensor, features: tuple[Tensor, Tensor] | None = None) -> Cache:
        """The cache of ``forward`` alone, which needs only the keys and values of the last layer."""
        x, turn, mask = self._begin(ids, allowed, None, features)
        present: Cache = []
        last = cast(Layer, self.model.layers[-1])
        for layer in self.model.layers[:-1]:
            x, cached = layer(x, turn, mask, None)
            present.append(cached)
        return [*present, last.remember(x, turn)]

    def _begin(
        self, ids: Tensor, allowed: Tensor, places: Tensor | None, features: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """What the first layer gets: embeddings, rotations and the mask."""
        if places is None:
            end = allowed.shape[-1]
            places = torch.arange(end - ids.shape[1], end, device=ids.device)[None]
        head = self.shape.width // self.shape.heads
        turn = rotations(places, int(head * self.shape.rotary), self.shape.theta)
        x = self.model.embed_tokens(ids)
        if features is not None:
            where, values = features
            x = x.masked_scatter(where[..., None], values.to(x.dtype))
        return x, turn, _additive(allowed, x)

    def logits(self, hidden: Tensor, begin: int = 0, end: int | None = None) -> Tensor:
        """(..., width) to float32 logits (..., end - begin) over the tokens from ``begin`` to before ``end``."""
        return F.linear(hidden, self.lm_head.weight[begin:end], self.lm_head.bias[begin:end]).float()


def _additive(allowed: Tensor, like: Tensor) -> Tensor:
    """(B, Q, K) booleans to what attention adds to its scores (B, 1, Q, K), once for all layers."""
    kind = like.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -torch.inf)[:, None]


def with_room(past: Cache, rows: Tensor, length: int) -> Cache:
    """A copy of the given rows, in that order, with room for ``length`` tokens; a row may come more than once."""
    return [(_with_room(key, rows, length), _with_room(value, rows, length)) for key, value in past]


def _with_room(kept: Tensor, rows: Tensor, length: int) -> Tensor:
    room = kept.new_empty(len(rows), kept.shape[1], length, kept.shape[3])
    room[:, :, : kept.shape[2]] = kept.index_select(0, rows)
    return room
