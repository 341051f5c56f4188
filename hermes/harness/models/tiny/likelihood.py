"""Log-probabilities of texts and images, differentiable: what preference training needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hermes.harness.models.tiny.packing import (
    NOTHING,
    Batch,
    Row,
    collate,
    cosine_mask,
    generation_row,
    plan_row,
    understanding_row,
)
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS
from hermes.harness.models.tiny.transformer import Transformer
from hermes.harness.records.seeds import derive_seed


@dataclass(frozen=True)
class Prepared:
    """One tokenised item. ``text`` None: log p(image | prompt) over the masks of ``seed``; else log p(text | ...).

    ``image`` (36,) holds token ids, (36, 8) the latents of hermes-flow. With a ``plan``: log p(plan | prompt) +
    log p(image | plan), or of the prompt where the plan is empty; a text with one is the plan itself.
    """

    prompt: tuple[int, ...]
    image: NDArray[Any]
    text: tuple[int, ...] | None
    seed: int
    plan: tuple[int, ...] | None = None

    def with_seed(self, seed: int) -> "Prepared":
        return self if self.text is not None else replace(self, seed=seed)


@dataclass(frozen=True)
class LikelihoodBatch:
    """R rows of B items, a second one for the plan of an image.

    The weight of each target (R, L), which rows are texts (R,), the item of each row (R,), and the number of tokens
    summed for each item (B,).
    """

    rows: Batch
    weight: Tensor
    text: Tensor
    item: Tensor
    counts: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        moved = (tensor.to(device) for tensor in (self.weight, self.text, self.item, self.counts))
        return LikelihoodBatch(self.rows.to(device), *moved)


def masks_of(seed: int, count: int) -> list[NDArray[np.bool_]]:
    """``count`` masks (36,) that depend on the seed alone; they come in antithetic pairs of ratios, u and 1 - u."""
    rng = np.random.default_rng(derive_seed(seed, "masks"))
    masks: list[NDArray[np.bool_]] = []
    u = 0.0
    for index in range(count):
        u = rng.random() if index % 2 == 0 else 1 - u
        masks.append(cosine_mask(rng, u))
    return masks


def _rows(item: Prepared, masks: int) -> list[tuple[bool, Row, NDArray[np.float64]]]:
    """The rows of an item, each with whether it is a text, and the weights of its targets."""
    if item.text is not None:
        said = understanding_row(item.image, [(item.prompt, item.text)])
        return [_text(said if item.plan is None else plan_row(item.prompt, item.text))]
    drawn = masks_of(item.seed, masks)
    row = generation_row(item.plan or item.prompt, item.image, drawn)
    weight = np.zeros(len(row.tokens))
    for number, hidden in enumerate(drawn, start=1):
        weight[(row.segment == number) & (row.target != NOTHING)] = IMAGE_TOKENS / (hidden.sum() * masks)
    planned = [] if item.plan is None else [_text(plan_row(item.prompt, item.plan))]
    return [(False, row, weight), *planned]


def _text(row: Row) -> tuple[bool, Row, NDArray[np.float64]]:
    return True, row, (row.target != NOTHING).astype(np.float64)


def collate_items(items: Sequence[Prepared], masks: int) -> LikelihoodBatch:
    """Texts and images in one batch; ``masks`` is K, the number of masks an image is averaged over."""
    found = [(number, *one) for number, item in enumerate(items) for one in _rows(item, masks)]
    owners, texts, rows, weights = zip(*found, strict=True)
    batch = collate(rows)
    weight = torch.zeros(batch.tokens.shape)
    for index, value in enumerate(weights):
        weight[index, : len(value)] = torch.from_numpy(value).float()
    counts = torch.tensor([float(_count(item)) for item in items])
    return LikelihoodBatch(batch, weight, torch.tensor(texts), torch.tensor(owners), counts)


def _count(item: Prepared) -> int:
    """How many tokens are summed: those of a text and <end>, or of an image and of its plan and <end>."""
    if item.text is not None:
        return len(item.text) + 1
    return IMAGE_TOKENS + (0 if item.plan is None else len(item.plan) + 1)


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Text: sum of next-token log-probabilities of the answer and <end>, exact. Image: the masked-prediction estimate
    (1 / K) sum_k 36 / |M_k| sum_{i in M_k} log p(x_i | x outside M_k, prompt), with masks by the cosine law that the
    model is trained under; it is scaled to all 36 tokens. The plan of an image is a text of its own, and exact.
    """

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        rows, model = batch.rows, self.transformer
        hidden, _ = model(rows.tokens, rows.place, rows.cell, rows.mask)
        asked = rows.target != NOTHING
        total = torch.zeros_like(batch.counts)
        text = asked & batch.text[:, None]
        for where, offset, read in (
            (text, 0, model.text_logits),
            (asked & ~text, model.shape.text, model.image_logits),
        ):
            target = rows.target[where] - offset
            told = torch.log_softmax(read(hidden[where]), -1).gather(1, target[:, None])[:, 0]
            total = total.index_add(0, batch.item[where.nonzero()[:, 0]], told * batch.weight[where])
        return total, batch.counts
