"""Log-probabilities of texts, exact, and of pictures, Gaussian in the velocity: what preference training needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hermes.harness.models.flow.latents import CHANNELS
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.flow.packing import Floats, FlowBatch, collate, drawn_row, seen_row
from hermes.harness.models.noising import gaussian_log_probs, levels_of, logit_normal, noise_of
from hermes.harness.models.tiny.likelihood import Prepared
from hermes.harness.models.tiny.packing import NOTHING, Row, plan_row
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS

TIME_MEAN, TIME_DEVIATION = 0.5, 1.0
"""The law of times in training: the sigmoid of a normal."""


@dataclass(frozen=True)
class LikelihoodBatch:
    """R rows of B items, a second one for the plan of an image.

    The item of each row (R,), and the number of tokens and latent elements summed for each item (B,).
    """

    rows: FlowBatch
    item: Tensor
    counts: Tensor
    draws: int

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(self.rows.to(device), self.item.to(device), self.counts.to(device), self.draws)


def times_at(levels: Tensor) -> Floats:
    """Times (K,) by the law of training, from uniform levels."""
    times: Floats = logit_normal(levels, TIME_MEAN, TIME_DEVIATION).float().numpy()
    return times


def _rows(item: Prepared, draws: int) -> list[Row]:
    if item.text is not None:
        said = seen_row(item.image, [(item.prompt, item.text)])
        return [said if item.plan is None else plan_row(item.prompt, item.text)]
    times = times_at(levels_of(item.seed, draws))
    noise = noise_of(item.seed, draws, (IMAGE_TOKENS, CHANNELS)).numpy()
    planned = [] if item.plan is None else [plan_row(item.prompt, item.plan)]
    return [drawn_row(item.plan or item.prompt, item.image, times, noise), *planned]


def collate_items(items: Sequence[Prepared], draws: int) -> LikelihoodBatch:
    """Texts and images in one batch; ``draws`` is K, how many times and noises an image is averaged over."""
    found = [(number, row) for number, item in enumerate(items) for row in _rows(item, draws)]
    counts = torch.tensor([float(_count(item)) for item in items])
    owners = torch.tensor([number for number, _ in found])
    return LikelihoodBatch(collate([row for _, row in found]), owners, counts, draws)


def _count(item: Prepared) -> int:
    """What is summed: a text's tokens and <end>; or an image's elements, and its plan's tokens and <end>."""
    if item.text is not None:
        return len(item.text) + 1
    return IMAGE_TOKENS * CHANNELS + (0 if item.plan is None else len(item.plan) + 1)


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Text, and the plan of an image: sum of next-token log-probabilities and <end>, exact. Image: minus half the sum of
    squared errors of the velocity, mean over K times and noises; see `noising`.
    """

    def __init__(self, transformer: FlowTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        rows, model = batch.rows, self.transformer
        hidden, _ = model(rows.tokens, rows.place, rows.cell, rows.mask, rows.latent, rows.time)
        spoken, noised = rows.target != NOTHING, rows.time > 0
        told = torch.log_softmax(model.text_logits(hidden[spoken]), -1)
        told = told.gather(1, rows.target[spoken][:, None])[:, 0]
        total = torch.zeros_like(batch.counts).index_add(0, batch.item[spoken.nonzero()[:, 0]], told)
        owner = batch.item[noised.nonzero()[:, 0]]
        drawn = model.velocity(hidden[noised]), rows.velocity[noised]
        return total + gaussian_log_probs(*drawn, owner, len(batch.counts), batch.draws), batch.counts
