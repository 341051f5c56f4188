"""Log-probabilities of texts and images, differentiable, as HermesFlow's Pair-DPO sums them (commit d6cf91a)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hermes.harness.models.showo.attention import generation_mask, understanding_mask
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.prompting import Layout
from hermes.harness.seeds import derive_seed

NOTHING = -100


@dataclass(frozen=True)
class Prepared:
    """One tokenised item. ``text`` None: log p(image | prompt) under the mask of ``seed``; else log p(text | ...).

    ``image`` (N,) holds token ids; ``text`` ends with the end token.
    """

    prompt: tuple[int, ...]
    image: NDArray[np.int64]
    text: tuple[int, ...] | None
    seed: int = 0

    def with_seed(self, seed: int) -> "Prepared":
        return self if self.text is not None else replace(self, seed=seed)


@dataclass(frozen=True)
class Row:
    """Token ids, and the id that is to be read at each place or NOTHING."""

    ids: list[int]
    target: list[int]
    text: bool


@dataclass(frozen=True)
class LikelihoodBatch:
    """ids (B, L), who may attend to whom (B, L, L), and the id that is to be read at each place or NOTHING (B, L)."""

    ids: Tensor
    allowed: Tensor
    target: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(self.ids.to(device), self.allowed.to(device), self.target.to(device))


def image_mask(u: float, order: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of N tokens are hidden, from a uniform number and N of them; the cosine law of training, at least one."""
    count = max(1, round(len(order) * math.cos(u * math.pi / 2)))
    return np.argsort(order, kind="stable") < count


def mask_of(seed: int, tokens: int) -> NDArray[np.bool_]:
    """The mask (tokens,) that belongs to a seed."""
    rng = np.random.default_rng(derive_seed(seed, "masks"))
    return image_mask(rng.random(), rng.random(tokens))


def image_row(layout: Layout, prompt: Sequence[int], image: Sequence[int], hidden: NDArray[np.bool_]) -> Row:
    """The hidden tokens are read, and <soi> and <eoi>, which the reference counts too; nothing is shifted."""
    vocabulary = layout.vocabulary
    shown = [vocabulary.mask if hide else token for token, hide in zip(image, hidden, strict=True)]
    read = [token if hide else NOTHING for token, hide in zip(image, hidden, strict=True)]
    target = [NOTHING] * layout.image_begin + [vocabulary.soi, *read, vocabulary.eoi]
    return Row(layout.generation(prompt, shown), target, text=False)


def text_row(layout: Layout, image: Sequence[int], prompt: Sequence[int], text: Sequence[int]) -> Row:
    """The text's tokens are read, each one place before its own."""
    before = [*layout.seen_image(image), *prompt]
    ids = [*before, *text]
    return Row(ids, [NOTHING] * (len(before) - 1) + [*text, NOTHING], text=True)


def collate_rows(layout: Layout, rows: Sequence[Row]) -> LikelihoodBatch:
    """Rows padded on the right; nobody sees those pads."""
    length = max(len(row.ids) for row in rows)
    pad = layout.vocabulary.pad
    ids = torch.tensor([row.ids + [pad] * (length - len(row.ids)) for row in rows])
    target = torch.tensor([row.target + [NOTHING] * (length - len(row.target)) for row in rows])
    text = torch.tensor([row.text for row in rows])
    allowed = torch.where(
        text[:, None, None], understanding_mask(ids, layout.vocabulary), generation_mask(ids, layout.vocabulary)
    )
    return LikelihoodBatch(ids, allowed, target)


def collate_items(layout: Layout, items: Sequence[Prepared]) -> LikelihoodBatch:
    """Texts and images in one batch."""
    return collate_rows(
        layout,
        [
            image_row(layout, item.prompt, item.image.tolist(), mask_of(item.seed, len(item.image)))
            if item.text is None
            else text_row(layout, item.image.tolist(), item.prompt, item.text)
            for item in items
        ],
    )


def pair_targets(
    labels: Tensor, image_rows: int, layout: Layout, accounting: Literal["intended", "released"] = "intended"
) -> tuple[Tensor, Tensor]:
    """HermesFlow's labels (B, L), its image rows first, to the targets of the image sum and of the text sum.

    ``released`` counts the shifted labels of all rows in the text sum, as the published trainer does because its slice
    ``[-0:]`` takes every row; ``intended`` counts the text rows'.
    """
    image = torch.full_like(labels, NOTHING)
    image[:image_rows, layout.image_begin :] = labels[:image_rows, layout.image_begin :]
    text = torch.full_like(labels, NOTHING)
    begin = 0 if accounting == "released" else image_rows
    text[begin:, :-1] = labels[begin:, 1:]
    return image, text


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Text: sum of next-token log-probabilities of the answer and the end token, exact. Image: sum over the hidden tokens
    of one mask, <soi> and <eoi>, not scaled to all tokens.
    """

    def __init__(self, transformer: Phi) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        hidden, _ = self.transformer(batch.ids, batch.allowed)
        where = batch.target != NOTHING
        told = torch.log_softmax(self.transformer.logits(hidden[where]), -1)
        told = told.gather(1, batch.target[where][:, None])[:, 0]
        sums = told.new_zeros(len(batch.ids)).index_add(0, where.nonzero()[:, 0], told)
        return sums, where.sum(1).to(told.dtype)
