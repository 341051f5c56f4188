"""Seeded draws inside transformers' own generate: each row has its own guidance, temperature, top-k and seed."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from hermes.harness.models.seeded import Draw


class SeededDraws(LogitsProcessor):
    """Draws each row's token from the row's own generator and leaves no other, so that a greedy search takes it.

    One object serves one call of generate. transformers draws from the global generator, whose state depends on the
    companions in the batch; its classes otherwise stay as they are.
    """

    def __init__(self, draws: Sequence[Draw]) -> None:
        self.draws = draws
        self.generators = [torch.Generator().manual_seed(draw.seed) for draw in draws]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) scores, or (2 B, V) with the unconditional rows last, to (B, V): 0 at the drawn token, else -inf."""
        if len(scores) == 2 * len(self.draws):
            scores = self._guided(*scores.chunk(2))
        uniforms = [torch.rand((), generator=generator, dtype=torch.float64) for generator in self.generators]
        rows = zip(scores, self.draws, uniforms, strict=True)
        chosen = torch.stack([pick(logits, draw, float(uniform)) for logits, draw, uniform in rows])
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)

    def _guided(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Classifier-free guidance (Ho and Salimans, 2022) with transformers' meaning of the scale."""
        scale = conditional.new_tensor([draw.guidance for draw in self.draws])[:, None]
        mixed = unconditional + (conditional - unconditional) * scale
        return torch.where(scale > 1, mixed, conditional)


def pick(logits: Tensor, draw: Draw, uniform: float) -> Tensor:
    """One token from (V,) logits by inverting the cumulative distribution at ``uniform`` in 0..1; a scalar tensor."""
    if draw.temperature == 0:
        return logits.argmax()
    total = probabilities(logits, draw).cumsum(0)
    place = torch.searchsorted(total, total[-1:] * uniform, right=True)[0]
    return place.clamp_max(len(total) - 1)


def probabilities(logits: Tensor, draw: Draw) -> Tensor:
    """What (..., V) logits are drawn from, float64: temperature, which is not 0, then top-k, then top-p.

    All that tie with the k-th stay. Of top-p the first always stays, and others while those before them have less.
    """
    scaled = logits.double() / draw.temperature
    if 0 < draw.top_k < scaled.shape[-1]:
        scaled = scaled.masked_fill(scaled < scaled.topk(draw.top_k).values[..., -1:], -torch.inf)
    kept = torch.softmax(scaled, -1)
    if draw.top_p < 1:
        falling, places = kept.sort(descending=True, stable=True)
        outside = falling.cumsum(-1) - falling >= draw.top_p
        outside[..., 0] = False
        kept = kept.scatter(-1, places, falling.masked_fill(outside, 0.0))
        kept = kept / kept.sum(-1, keepdim=True)
    return kept
