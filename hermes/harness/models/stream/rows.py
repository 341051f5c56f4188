"""Rows of tokens of different lengths in one batch, and rows that together tell what an image's next code is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """A row that an image is drawn behind: its tokens, and by how much its logits count in the guided ones."""

    weight: float
    ids: tuple[int, ...]


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, L), padded on the left, and their mask (B, L)."""
    length = max(len(row) for row in rows)
    ids = [[pad] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def positions(mask: Tensor) -> Tensor:
    """Each token's place (B, L) in its row, where pads take none."""
    return (mask.cumsum(1) - 1).clamp_min(0)


def guided(asks: Sequence[Sequence[Share]]) -> tuple[Tensor, Tensor]:
    """Which rows make up each of B images' logits (B, S), and their weights (B, S).

    Rows stand one ask behind the other. Asks of fewer rows than S have their first again, with the weight 0, so that
    sums are made in one order, whatever the companions.
    """
    most, first = max(map(len, asks)), 0
    which, weights = [], []
    for shares in asks:
        spare = most - len(shares)
        which.append([*range(first, first + len(shares)), *[first] * spare])
        weights.append([*(share.weight for share in shares), *[0.0] * spare])
        first += len(shares)
    return torch.tensor(which), torch.tensor(weights)
