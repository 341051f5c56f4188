"""Prompts to image codes, one code after the other behind cached prompts, with guidance of any number of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models.head import head_of
from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.rows import Share, guided, padded, positions
from hermes.harness.models.stream.sampling import Noise, choose, probabilities, race_of


@dataclass(frozen=True)
class Step:
    """One token of B images over C columns: logits of the R rows, guided ones, probabilities, and what was drawn.

    ``rows`` (R, C), ``guided`` (B, C), ``kept`` (B, C), ``chosen`` (B,) as numbers of columns.
    """

    rows: Tensor
    guided: Tensor
    kept: Tensor
    chosen: Tensor


@torch.inference_mode()
def draw_steps(
    network: Any,
    asks: Sequence[Sequence[Share]],
    draws: Sequence[Draw],
    columns: Tensor,
    count: int,
    pad: int,
    noise: Noise | None = None,
) -> Iterator[Step]:
    """``count`` steps for B asks, of which each has one row or more; the token drawn goes to all rows of its ask.

    ``columns`` (C,) are the ids that may be drawn; of the head only theirs are computed. ``noise`` stands in for the
    seeds of ``draws``, of which guidance is not read: it lies in the rows' weights.
    """
    device = network.device
    columns = columns.to(device)
    head = head_of(network, columns)
    noise = noise or race_of(draws, len(columns), columns.device)
    which, shares = (part.to(device) for part in guided(asks))
    ids, mask = (part.to(device) for part in padded([share.ids for ask in asks for share in ask], pad))
    owner = torch.tensor([number for number, ask in enumerate(asks) for _ in ask], device=device)
    places, past = positions(mask), None
    for _ in range(count):
        out = network.model(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=past, use_cache=True
        )
        past = out.past_key_values
        rows = head(out.last_hidden_state[:, -1]).to(device)
        told = rows[which[:, 0]] * shares[:, :1]
        for share in range(1, which.shape[1]):
            told = told + rows[which[:, share]] * shares[:, share : share + 1]
        kept = probabilities(told, draws)
        chosen = choose(told, kept, draws, noise)
        yield Step(rows, told, kept, chosen)
        ids, places = columns[chosen][owner][:, None], places[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)


def draw(
    network: Any, asks: Sequence[Sequence[Share]], draws: Sequence[Draw], columns: Tensor, count: int, pad: int
) -> Tensor:
    """What ``draw_steps`` choose, (B, count) numbers of columns."""
    return torch.stack([step.chosen for step in draw_steps(network, asks, draws, columns, count, pad)], 1)
