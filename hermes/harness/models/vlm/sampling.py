"""Tokens drawn with one random generator a row, so that companions in a batch cannot change a draw."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hermes.harness.models.vlm.ask import Ask


class SeededRows:
    """A logits processor after which the greedy choice is a draw (the Gumbel-max trick).

    Adding independent Gumbel noise to logits / temperature and taking the largest draws from their softmax. Rows with
    temperature 0 stay as they are, and stay greedy.
    """

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._asks = asks
        self._generators = [torch.Generator().manual_seed(ask.seed) for ask in asks]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, vocabulary) in, scores (B, vocabulary) out."""
        scores = scores.clone()
        for row, (ask, generator) in enumerate(zip(self._asks, self._generators, strict=True)):
            if ask.temperature > 0:
                scores[row] = _drawn(scores[row], ask, generator)
        return scores


def _drawn(scores: Tensor, ask: Ask, generator: torch.Generator) -> Tensor:
    if 0 < ask.top_k < len(scores):
        scores = scores.masked_fill(scores < scores.topk(ask.top_k).values[-1], float("-inf"))
    noise = -torch.empty(len(scores), dtype=torch.float64).exponential_(generator=generator).log()
    return scores / ask.temperature + noise.to(scores)
