"""Image tokens inside transformers' own generate: codes from each row's own seed, line ends where they belong."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, UnbatchedClassifierFreeGuidanceLogitsProcessor

from hermes.harness.models.emu3.images import Tokens
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import SeededDraws


class ImageDraws(LogitsProcessor):
    """Leaves one token to each row: the one that must stand there, or a code drawn from the codes' probabilities.

    One object serves one call of generate, for pictures of ``rows`` x ``rows`` codes behind prompts of ``begin``
    tokens. ``empty`` are the tokens of the empty prompt, which guidance leads away from.
    """

    def __init__(
        self, network: Any, tokens: Tokens, draws: Sequence[Draw], rows: int, begin: int, empty: Sequence[int]
    ) -> None:
        self.tokens, self.rows, self.begin = tokens, rows, begin
        self.codes = tokens.codes.to(network.device)
        self.pick = SeededDraws(draws)
        self.free: Any = None
        if any(draw.guidance > 1 for draw in draws):
            # Only its forward passes are used: its scale is one for all rows.
            ids = torch.tensor([list(empty)] * len(draws), device=network.device)
            guide: Any = UnbatchedClassifierFreeGuidanceLogitsProcessor
            self.free = guide(1.0, network, ids)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) scores to (B, V): 0 at the row's token, else -inf."""
        codes = self.codes.to(scores.device)
        told = scores[:, codes]
        if self.free is not None:
            free = self.free.get_unconditional_logits(input_ids)[:, -1]
            told = torch.cat([told, free.to(scores)[:, codes]])
        only = torch.full_like(scores, -torch.inf)
        forced = self.tokens.forced(input_ids.shape[1] - self.begin, self.rows, self.rows)
        if forced is not None:
            only[:, forced] = 0.0
            return only
        chosen = codes[self.pick(input_ids, told).argmax(-1)]
        return only.scatter(1, chosen[:, None], 0.0)
