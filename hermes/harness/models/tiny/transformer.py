"""The one network: a small pre-norm transformer over text and image tokens, omni-attention, a cache."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.tiny.tokenizer_image import CODES, FSQ, IMAGE_TOKENS, LEVELS

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; ids below ``text`` are text and special tokens, the others image codes."""

    text: int
    width: int = 160
    layers: int = 5
    heads: int = 5
    codes: int = CODES

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def omni_mask(segment: Tensor, image: Tensor) -> Tensor:
    """Who sees whom: (B, L) segments and image flags to (B, L, L), True where row i may attend to column j.

    Segment 0 is the common prefix, -1 is padding (seen only by itself). Text is causal, the image tokens of one
    segment see each other both ways, and no segment sees another one but the prefix.
    """
    same = segment[:, :, None] == segment[:, None, :]
    prefix = (segment == 0)[:, None, :]
    length = segment.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    both = image[:, :, None] & image[:, None, :]
    real = (segment >= 0)[:, :, None] & (segment >= 0)[:, None, :]
    itself = torch.eye(length, dtype=torch.bool, device=segment.device)
    return ((same | prefix) & (causal | (both & same)) & real) | itself


def rotations(place: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding: (B, L, 2) places (row, column) to two (B, 1, L, head_width).

    Half of the channel pairs turn with the first coordinate and half with the second; text has both alike.
    """
    pairs = head_width // 4
    speed = 30.0 ** -(torch.arange(pairs, device=place.device, dtype=torch.float32) / pairs)
    angle = (place.float()[..., None] * speed).flatten(-2)
    angle = torch.cat([angle, angle], -1)[:, None]
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the channel pairs of (B, H, L, C)."""
    left, right = x.chunk(2, -1)
    return x * cosine + torch.cat([-right, left], -1) * sine


class CodeTable(nn.Module):
    """One vector for each image code, from its FSQ digits, so that codes that look alike share what is learned."""

    digits: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        points = FSQ().point(torch.arange(CODES))
        steps = [((points[:, i] + 1) / 2 * (level - 1)).round().long() for i, level in enumerate(LEVELS)]
        digits = [F.one_hot(step, level).float() for step, level in zip(steps, LEVELS, strict=True)]
        self.register_buffer("digits", torch.cat([points, *digits], 1), persistent=False)
        self.mix = nn.Sequential(nn.Linear(self.digits.shape[1], 128), nn.ReLU(), nn.Linear(128, width))

    def forward(self) -> Tensor:
        """(codes, width)."""
        table: Tensor = self.mix(self.digits)
        return table


class Block(nn.Module):
    """Attention and MLP, each behind a norm; queries and keys are normalised per head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.head_width = shape.width // shape.heads
        self.norm_attention = nn.LayerNorm(shape.width, bias=False)
        self.norm_query = nn.LayerNorm(self.head_width, bias=False)
        self.norm_key = nn.LayerNorm(self.head_width, bias=False)
        self.project = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.merge = nn.Linear(shape.width, shape.width, bias=False)
        self.norm_mlp = nn.LayerNorm(shape.width, bias=False)
        self.enter = nn.Linear(shape.width, 4 * shape.width)
        self.leave = nn.Linear(4 * shape.width, shape.width)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], bias: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, length, width = x.shape
        mixed = self.project(self.norm_attention(x)).view(rows, length, 3, self.heads, self.head_width)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        query = rotate(self.norm_query(query), *turn)
        key = rotate(self.norm_key(key), *turn)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        scores = query @ key.transpose(-1, -2) * self.head_width**-0.5 + bias
        seen = torch.softmax(scores, -1).to(value.dtype) @ value
        x = x + self.merge(seen.transpose(1, 2).reshape(rows, length, width))
        x = x + self.leave(F.relu(self.enter(self.norm_mlp(x)), inplace=True).square())
        return x, (key, value)


class Trunk(nn.Module):
    """Blocks over embedded tokens, and text in and out of them; a model adds its pictures.

    ``tokens`` is how many ids are embedded, the first ``shape.text`` of which are text and special tokens.
    """

    def __init__(self, shape: Shape, tokens: int) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(tokens, shape.width)
        self.cell = nn.Embedding(1 + IMAGE_TOKENS, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, tokens, bias=False)

    def begin(self, apart: tuple[str, ...]) -> None:
        """Draw the weights of matrices, but for parts that begin with a name of ``apart``; deep ones smaller."""
        for name, parameter in self.named_parameters():
            if name.startswith(apart):
                continue
            if parameter.dim() > 1:
                deep = name.endswith(("merge.weight", "leave.weight"))
                std = 0.1 if name.startswith(("embed", "cell")) else 0.02
                nn.init.normal_(parameter, std=std / math.sqrt(2 * self.shape.layers) if deep else std)

    def run(self, x: Tensor, place: Tensor, mask: Tensor, past: Cache | None) -> tuple[list[Tensor], Cache]:
        """The residual stream (B, L, width) after each block, and the cache including these tokens.

        x (B, L, width) embedded tokens; place (B, L, 2) rotary places; mask (B, L, P + L) bool, True = may attend, over
        the P cached tokens and these.
        """
        turn = rotations(place, self.shape.width // self.shape.heads)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        turn = (turn[0].to(dtype), turn[1].to(dtype))
        bias = torch.zeros(mask.shape, dtype=dtype, device=x.device).masked_fill_(~mask, -1e4)[:, None]
        states: list[Tensor] = []
        present: Cache = []
        for index, block in enumerate(self.blocks):
            x, cached = block(x, turn, bias, past[index] if past else None)
            states.append(x)
            present.append(cached)
        return states, present

    def text(self, tokens: Tensor, place: Tensor, mask: Tensor, past: Cache | None = None) -> tuple[Tensor, Cache]:
        """Normalised hidden states (B, L, width) of text ids (B, L), and the cache including them; see ``run``."""
        states, present = self.run(self.embed(tokens) + self.cell.weight[0], place, mask, past)
        normed: Tensor = self.norm(states[-1])
        return normed, present

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(..., width) to (..., text) float32 logits over text and special tokens."""
        return F.linear(hidden, self.head.weight[: self.shape.text]).float()


class Transformer(Trunk):
    """Token ids to hidden states; ``text_logits`` and ``image_logits`` read them out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, shape.text + shape.codes)
        self.look_in, self.look_out = CodeTable(shape.width), CodeTable(shape.width)
        self.begin(apart=("look",))

    def forward(
        self, tokens: Tensor, place: Tensor, cell: Tensor, mask: Tensor, past: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Hidden states (B, L, width), normalised, and the cache including these tokens; arguments as in ``states``."""
        states, present = self.states(tokens, place, cell, mask, past)
        normed: Tensor = self.norm(states[-1])
        return normed, present

    def states(
        self, tokens: Tensor, place: Tensor, cell: Tensor, mask: Tensor, past: Cache | None = None
    ) -> tuple[list[Tensor], Cache]:
        """As ``run``, from tokens (B, L) ids and cell (B, L): 1 + index of an image token's cell, 0 for text."""
        look = F.pad(self.look_in(), (0, 0, self.shape.text, 0))
        x = F.embedding(tokens, self.embed.weight + look) + self.cell(cell)
        return self.run(x, place, mask, past)

    def image_logits(self, hidden: Tensor) -> Tensor:
        """(..., width) to (..., codes) float32 logits over image codes."""
        return F.linear(hidden, self.head.weight[self.shape.text :] + self.look_out()).float()
