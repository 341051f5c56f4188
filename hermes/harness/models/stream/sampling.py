"""Codes drawn in batches: every row with its own temperature, top-k, top-p and noise."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hermes.harness.models.row_noise import exponential, row_generator
from hermes.harness.models.seeded import Draw

Noise = Callable[[], Tensor]


def probabilities(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """What B rows of (B, C) logits are drawn from, float64: `seeded_draws.probabilities` of all rows at once.

    Of a greedy row, which needs none, those of temperature 1.
    """
    count = logits.shape[1]
    tops = [draw.top_k if 0 < draw.top_k < count else count for draw in draws]
    masses = [draw.top_p if draw.top_p < 1 else float("inf") for draw in draws]
    heat = torch.tensor([draw.temperature or 1.0 for draw in draws], dtype=torch.float64, device=logits.device)
    scaled = logits.double() / heat[:, None]
    if min(tops) == count and min(masses) > 1:
        return scaled.softmax(-1)
    falling, places = scaled.sort(descending=True, stable=True)
    least = falling.gather(1, torch.tensor(tops, device=logits.device)[:, None] - 1)
    kept = falling.masked_fill(falling < least, -torch.inf).softmax(-1)
    outside = kept.cumsum(1) - kept >= torch.tensor(masses, device=logits.device)[:, None]
    outside[:, 0] = False
    kept = kept.masked_fill(outside, 0.0)
    return torch.zeros_like(kept).scatter(1, places, kept / kept.sum(1, keepdim=True))


def choose(logits: Tensor, kept: Tensor, draws: Sequence[Draw], noise: Noise) -> Tensor:
    """(B,) columns: the best where the temperature is 0, else drawn from ``kept`` (B, C) with ``noise`` (B, C).

    The noise is exponential, and so argmax(p / noise) is a draw from p: the very one that torch.multinomial makes.
    """
    greedy = torch.tensor([draw.temperature == 0 for draw in draws], device=logits.device)
    if bool(greedy.all()):
        return logits.argmax(-1)
    return torch.where(greedy, logits.argmax(-1), (kept / noise().to(kept)).argmax(-1))


def race_of(draws: Sequence[Draw], columns: int, device: torch.device) -> Noise:
    """(B, columns) exponential numbers at each call, a row's from the row's own seed."""
    generators = [row_generator(draw.seed, device) for draw in draws]
    return lambda: torch.stack([exponential(one, columns) for one in generators])
