"""Codes drawn in batches: every row with its own temperature, top-k, top-p and noise."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hermes.harness.models.seeded import Draw

Noise = Callable[[], Tensor]


def probabilities(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """What B rows of (B, C) logits are drawn from, float64: `seeded_draws.probabilities` of all rows at once.

    Of a greedy row, which needs none, those of temperature 1.
    """
    count = logits.shape[1]
    heat = [draw.temperature or 1.0 for draw in draws]
    scaled = logits.double() / torch.tensor(heat, dtype=torch.float64, device=logits.device)[:, None]
    if any(0 < draw.top_k < count for draw in draws):
        tops = torch.tensor([draw.top_k if 0 < draw.top_k < count else count for draw in draws], device=logits.device)
        least = scaled.sort(descending=True).values.gather(1, tops[:, None] - 1)
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    kept = scaled.softmax(-1)
    if any(draw.top_p < 1 for draw in draws):
        mass = torch.tensor([draw.top_p if draw.top_p < 1 else torch.inf for draw in draws], device=logits.device)
        falling, places = kept.sort(descending=True, stable=True)
        outside = falling.cumsum(1) - falling >= mass[:, None]
        outside[:, 0] = False
        kept = kept.scatter(1, places, falling.masked_fill(outside, 0.0))
        kept = kept / kept.sum(1, keepdim=True)
    return kept


def choose(logits: Tensor, kept: Tensor, draws: Sequence[Draw], noise: Noise) -> Tensor:
    """(B,) columns: the best where the temperature is 0, else drawn from ``kept`` (B, C) with ``noise`` (B, C).

    The noise is exponential, and so argmax(p / noise) is a draw from p: the very one that torch.multinomial makes.
    """
    greedy = torch.tensor([draw.temperature == 0 for draw in draws], device=logits.device)
    if bool(greedy.all()):
        return logits.argmax(-1)
    return torch.where(greedy, logits.argmax(-1), (kept / noise().to(kept)).argmax(-1))


def noise_of(draws: Sequence[Draw], columns: int) -> Noise:
    """(B, columns) exponential numbers at each call, a row's from the row's own seed."""
    generators = [torch.Generator().manual_seed(draw.seed) for draw in draws]
    return lambda: torch.stack([torch.empty(columns).exponential_(generator=one) for one in generators])
