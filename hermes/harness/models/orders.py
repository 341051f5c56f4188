"""In which order parallel decoding keeps the tokens of an image: the surest first, at random, or spread by Halton."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from hermes.harness.records.types import Order


def preference(order: Order, log_probs: Tensor, noise: Tensor, scale: float, ranks: Tensor) -> Tensor:
    """How much each token is to be kept, of the shape of ``log_probs``; the highest are kept first.

    ``noise`` is Gumbel noise and ``scale`` what it is multiplied by in the order of confidence; ``ranks`` are the
    places of the tokens' cells in `halton_ranks`.
    """
    if order == "confidence":
        return log_probs + scale * noise
    return noise if order == "random" else -ranks.to(log_probs.dtype)


@lru_cache(maxsize=8)
def halton_ranks(side: int) -> Tensor:
    """(side * side,): the place of each cell, row by row, in the Halton sequence of bases 2 and 3.

    Besnier et al. 2025, "Halton Scheduler For Masked Generative Image Transformer" (arXiv:2503.17076): cells that are
    kept one after the other lie far apart.
    """
    ranks = torch.full((side * side,), -1)
    found = number = 0
    while found < side * side:
        row, column = (math.floor(_radical_inverse(number, base) * side) for base in (2, 3))
        if ranks[row * side + column] < 0:
            ranks[row * side + column] = found
            found += 1
        number += 1
    return ranks


def _radical_inverse(number: int, base: int) -> float:
    """The digits of the number behind the point, in reverse."""
    value, step = 0.0, 1.0 / base
    while number:
        number, digit = divmod(number, base)
        value += digit * step
        step /= base
    return value
