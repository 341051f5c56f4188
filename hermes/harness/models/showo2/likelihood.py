"""Log-probabilities of texts, exact, and of pictures, Gaussian with the flow's error: what preference training needs.

Source: showlab/Show-o, commit 45a5a2d, show-o2: the training's law of times, and its velocity, data less noise. Latents
are the means of the autoencoder's posterior, so an item's are the same every time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.noising import flowed, gaussian_log_probs, levels_of, logit_normal, noise_of
from hermes.harness.models.showo2.attending import omni
from hermes.harness.models.showo2.network import Network

NOTHING = -1
LOW, HIGH, FEW, MANY = 0.5, 1.15, 256, 4096
"""Shifts of the training's times for pictures of so few and so many places; between them they lie on a line."""


def train_shift(places: int) -> float:
    """By which factor the training of a picture of so many places shifts its times towards noise."""
    return math.exp(LOW + (HIGH - LOW) * (places - FEW) / (MANY - FEW))


@dataclass(frozen=True)
class Prepared:
    """One item: ids before the picture and behind it, and the picture's ``latents`` (C, 2h, 2w).

    ``said``: how many of the last ids are asked; None where the picture is, under the noise of ``seed``.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    said: int | None
    latents: Tensor
    seed: int = 0


@dataclass(frozen=True)
class LikelihoodBatch:
    """B rows of length L with one picture each, padded on the right.

    ``ids`` (B, L), any at the picture's places; ``target`` (B, L), the token that follows, NOTHING where none is asked;
    ``begin`` (B,), where the picture begins, and ``box`` (B,), where its box of attention does; ``latents``
    (B, C, 2h, 2w) at ``times`` (B,). Of the R rows ``drawn`` the ``velocity`` (R, C, 2h, 2w) is asked. ``item`` (B,) is
    the item of each row, each drawn one of which has ``draws`` rows; ``counts`` (items,) of what is asked.
    """

    ids: Tensor
    target: Tensor
    begin: Tensor
    box: Tensor
    latents: Tensor
    times: Tensor
    drawn: Tensor
    velocity: Tensor
    item: Tensor
    counts: Tensor
    draws: int

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        moved = {name: each.to(device) for name, each in vars(self).items() if isinstance(each, Tensor)}
        return LikelihoodBatch(**{**vars(self), **moved})


def collate_items(
    items: Sequence[Prepared], pad: int, patch: int, draws: int, released: bool = False
) -> LikelihoodBatch:
    """Texts and pictures in one batch, a picture with a row for each of ``draws`` times and noises.

    Raises ValueError for latents of several sizes.
    """
    rows: list[tuple[Prepared, Tensor, Tensor, int]] = []
    wanted: list[Tensor] = []
    drawn: list[int] = []
    shape = items[0].latents.shape
    size = shape[1] * shape[2] // patch**2 + 1
    for number, item in enumerate(items):
        if item.said is not None:
            rows.append((item, item.latents, torch.tensor(1.0), number))
            continue
        levels = logit_normal(levels_of(item.seed, draws), shift=train_shift(size))
        clean = item.latents.expand(draws, *shape)
        noised, velocity = flowed(clean, noise_of(item.seed, draws, shape), levels)
        drawn += range(len(rows), len(rows) + draws)
        # Here 1 is clean, and a velocity leads to the data.
        wanted.append(-velocity)
        rows += [(item, x, 1 - level.float(), number) for x, level in zip(noised, levels, strict=True)]
    length = max(len(item.before) + size + len(item.after) for item, *_ in rows)
    ids = torch.full((len(rows), length), pad)
    target = torch.full_like(ids, NOTHING)
    for row, (item, *_) in enumerate(rows):
        behind = len(item.before) + size
        ids[row, : len(item.before)] = torch.tensor(item.before)
        ids[row, behind : behind + len(item.after)] = torch.tensor(item.after, dtype=torch.long)
        if item.said:
            end = behind + len(item.after)
            target[row, end - item.said - 1 : end - 1] = ids[row, end - item.said : end]
    begin = torch.tensor([len(item.before) for item, *_ in rows])
    asked = torch.tensor([item.said is not None for item, *_ in rows])
    return LikelihoodBatch(
        ids=ids,
        target=target,
        begin=begin,
        box=begin + asked.long() if released else begin,
        latents=torch.stack([x for _, x, _, _ in rows]),
        times=torch.stack([time for _, _, time, _ in rows]),
        drawn=torch.tensor(drawn, dtype=torch.long),
        velocity=torch.cat(wanted) if wanted else torch.empty(0, *shape),
        item=torch.tensor([number for *_, number in rows]),
        counts=torch.tensor([float(shape.numel() if item.said is None else item.said) for item in items]),
        draws=draws,
    )


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (items,).

    Texts: sums of log-probabilities of the answer's tokens and its end. Pictures: -1/2 of the summed squared error of
    the velocity, meaned over the item's draws; the count is the number of the latents' elements. Every part takes part
    in every batch, if with no row, so that processes which train together never wait for a gradient.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.eval()
        part: Any
        for part in network.modules():
            # Policy and reference must be one function; the attention's dropout cannot be switched off as a module.
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.0

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        items = len(batch.counts)
        hidden, time, allowed = self.states(batch)
        rows, tokens = self.of_tokens(batch, hidden)
        texts = tokens.new_zeros(items).index_add(0, batch.item[rows], tokens)
        velocity = self.velocities(batch, hidden, time, allowed)
        owner = batch.item[batch.drawn]
        return texts + gaussian_log_probs(velocity, batch.velocity, owner, items, batch.draws), batch.counts

    def states(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor, Tensor]:
        """The language model's states (B, L, H), the embedded times (B, width), and who sees whom (B, 1, L, L)."""
        network, device = self.network, batch.ids.device
        shown, time = network.picture(batch.latents, batch.times)
        count, length = shown.shape[1], batch.ids.shape[1]
        at = batch.begin[:, None] + torch.arange(count, device=device)
        where = torch.arange(len(shown), device=device)[:, None], at
        embedded = network.words(batch.ids)
        embedded = embedded.index_put(where, shown.to(embedded))
        allowed = omni(length, batch.box, count)
        return network.read(embedded, allowed, torch.arange(length, device=device)[None], None), time, allowed

    def of_tokens(self, batch: LikelihoodBatch, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The row (T,) and the log-probability (T,) of each token that is asked."""
        asked = batch.target != NOTHING
        scores = self.network.showo.lm_head(hidden[asked]).float().to(hidden.device)
        told = torch.log_softmax(scores, -1).gather(1, batch.target[asked][:, None])[:, 0]
        return asked.nonzero()[:, 0], told

    def velocities(self, batch: LikelihoodBatch, hidden: Tensor, time: Tensor, allowed: Tensor) -> Tensor:
        """Those of the drawn rows, (R, C, 2h, 2w)."""
        network, drawn, device = self.network, batch.drawn, hidden.device
        size = (batch.latents.shape[-2], batch.latents.shape[-1])
        count = size[0] * size[1] // network.patch**2 + 1
        places = torch.arange(hidden.shape[1], device=device)
        begin, time = batch.begin[drawn], time[drawn]
        inside = (places >= begin[:, None]) & (places < begin[:, None] + count)
        states = network.flow(hidden[drawn], time, inside, allowed[drawn], places[None])
        at = begin[:, None] + torch.arange(1, count, device=device)
        return network.velocity(states[torch.arange(len(drawn), device=device)[:, None], at], time, size)
