"""Codes from logits: guidance, temperature, top-k and top-p of each row, and draws from each row's own seed.

Source: mit-han-lab/vila-u, commit 096623c (top-k, of which all that tie with the last stay, then top-p, in float32).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hermes.harness.models.seeded import Draw

Choose = Callable[[Tensor, int, int], Tensor]
"""Probabilities (B, K), the position and the depth to codes (B,)."""


class Cuts:
    """The settings of B rows, as tensors on the device."""

    def __init__(self, draws: Sequence[Draw], device: torch.device) -> None:
        def column(values: Sequence[float], dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)[:, None]

        greedy = [draw.temperature == 0 for draw in draws]
        self.greedy = column(greedy, torch.bool)
        self.temperature = column([draw.temperature or 1.0 for draw in draws])
        self.top_k = column([draw.top_k for draw in draws], torch.long)
        self.top_p = column([draw.top_p if draw.top_p < 1 else math.inf for draw in draws])
        self.any_greedy = any(greedy)
        self.any_cut = any(draw.top_k or draw.top_p < 1 for draw in draws)
        self.guided = [number for number, draw in enumerate(draws) if draw.guidance > 1]
        self.places = torch.tensor(self.guided, dtype=torch.long, device=device)
        self.scale = column([draws[number].guidance for number in self.guided])

    def mixed(self, logits: Tensor) -> Tensor:
        """Logits of B conditional rows, and behind them those of the guided rows without their prompts, to (B, K)."""
        logits = logits.float()
        rows = len(self.greedy)
        conditional, free = logits[:rows], logits[rows:]
        if not self.guided:
            return conditional
        towards = free + self.scale * (conditional[self.places] - free)
        return conditional.index_copy(0, self.places, towards)

    def probabilities(self, logits: Tensor) -> Tensor:
        """What each row of (B, K) logits is drawn from."""
        scaled = logits / self.temperature
        found = self._cut(scaled) if self.any_cut else scaled.softmax(-1)
        if self.any_greedy:
            best = torch.zeros_like(found).scatter(1, logits.argmax(-1, keepdim=True), 1.0)
            found = torch.where(self.greedy, best, found)
        return found

    def _cut(self, scaled: Tensor) -> Tensor:
        falling, places = scaled.sort(dim=-1, descending=True, stable=True)
        size = scaled.shape[-1]
        last = torch.where(self.top_k > 0, self.top_k, size).clamp_max(size) - 1
        kept = falling.masked_fill(falling < falling.gather(1, last), -torch.inf).softmax(-1)
        outside = kept.cumsum(-1) - kept >= self.top_p
        outside[:, 0] = False
        kept = kept.masked_fill(outside, 0.0)
        return torch.zeros_like(kept).scatter(1, places, kept / kept.sum(-1, keepdim=True))


class Uniforms:
    """Draws by inverting the cumulative distribution at numbers that are made once, each row's from its own seed."""

    def __init__(self, seeds: Sequence[int], positions: int, depth: int, device: torch.device) -> None:
        rows = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [torch.rand(positions, depth, generator=row, dtype=torch.float64) for row in rows]
        self.numbers = torch.stack(drawn).to(device)

    def __call__(self, probabilities: Tensor, position: int, depth: int) -> Tensor:
        return inverted(probabilities, self.numbers[:, position, depth])


def inverted(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The entries (B,) of (B, K) probabilities at which the cumulative ones pass the numbers (B,) in 0..1."""
    total = probabilities.double().cumsum(-1)
    places = torch.searchsorted(total, total[:, -1:] * uniform[:, None], right=True)
    return places[:, 0].clamp_max(probabilities.shape[-1] - 1)
