"""Prompt to codes: the language model from position to position, the depth transformer from code to code.

Source: mit-han-lab/vila-u, commit 096623c. Each prompt is read once, however many rows draw from it, and the depth
transformer keeps what it has read of a position. The text token that the authors' loop draws at every position and
throws away is drawn in `released.py` alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.cache import give_room
from hermes.harness.models.seeded import Draw
from hermes.harness.models.vilau.depth import Cache
from hermes.harness.models.vilau.network import Network
from hermes.harness.models.vilau.sampling import Choose, Cuts


@dataclass(frozen=True)
class Step:
    """One position: states (R, H) of the language model, logits (D, R, K), probabilities (D, B, K), codes (B, D).

    The R rows are the B conditional ones and behind them the guided ones without their prompts.
    """

    hidden: Tensor
    logits: Tensor
    probabilities: Tensor
    codes: Tensor


class Interrupt(Protocol):
    """What may put other embeddings in place of those of a drawn ``position``, ``embedded`` (R, H)."""

    def __call__(self, embedded: Tensor, position: int) -> Tensor: ...


def draw_codes(
    model: Network,
    prompts: Sequence[Sequence[int]],
    empty: Sequence[int],
    draws: Sequence[Draw],
    choose: Choose,
    interrupt: Interrupt | None = None,
) -> Tensor:
    """The codes (B, N, D) of B pictures; arguments as in ``draw_steps``."""
    return torch.stack([step.codes for step in draw_steps(model, prompts, empty, draws, choose, interrupt)], 1)


@torch.inference_mode()
def draw_steps(
    model: Network,
    prompts: Sequence[Sequence[int]],
    empty: Sequence[int],
    draws: Sequence[Draw],
    choose: Choose,
    interrupt: Interrupt | None = None,
) -> Iterator[Step]:
    """Every position of a picture for each prompt's ids; ``empty`` are those that guidance leads away from."""
    cuts = Cuts(draws, model.device)
    rows = [*map(tuple, prompts), *[tuple(empty)] * len(cuts.guided)]
    hidden, attention, cache = _prefill(model, rows)
    tower, positions = model.tower, model.tower.positions
    every = torch.cat([torch.arange(len(prompts), device=model.device), cuts.places])
    for position in range(positions):
        kept: Cache = []
        told: list[Tensor] = []
        likely: list[Tensor] = []
        codes: list[Tensor] = []
        total = torch.zeros(1)
        for depth in range(tower.depth):
            if depth == 0:
                told.append(model.rqtransformer.first(hidden.to(model.dtype), kept))
            else:
                told.append(model.rqtransformer.next(total[every].to(model.dtype), depth, kept))
            likely.append(cuts.probabilities(cuts.mixed(told[-1])))
            codes.append(choose(likely[-1], position, depth))
            row = tower.rows(codes[-1], depth)
            total = row if depth == 0 else total + row
        yield Step(hidden, torch.stack(told), torch.stack(likely), torch.stack(codes, -1))
        if position + 1 < positions:
            embedded = model.project(total)[every]
            if interrupt is not None:
                embedded = interrupt(embedded, position)
            attention = torch.cat([attention, attention.new_ones(len(attention), 1)], 1)
            hidden = model.read(embedded[:, None], attention, cache)[:, -1]


def _prefill(model: Network, rows: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor, DynamicCache]:
    """The state (R, H) behind each row's last token, the mask (R, L) of rows padded on the left, and their cache."""
    distinct = list(dict.fromkeys(rows))
    which = torch.tensor([distinct.index(row) for row in rows], device=model.device)
    length = max(map(len, distinct))
    ids = torch.tensor([[0] * (length - len(row)) + list(row) for row in distinct], device=model.device)
    real = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in distinct], device=model.device)
    cache = DynamicCache(config=model.llm.config)
    embedded = model.llm.get_input_embeddings()(ids)
    hidden = model.read(embedded, real, cache)[:, -1]
    give_room(cache, which, model.tower.positions - 1)
    return hidden[which], real[which], cache
