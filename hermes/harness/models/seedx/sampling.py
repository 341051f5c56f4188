"""Which tokens may follow: a picture's query tokens come in order and only behind ``<img>``.

Source: AILab-CVC/SEED-X commit 420d347, src/models/mllm/generation.py (AutoImageTokenGenerationProcessor).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from transformers import LogitsProcessor

from hermes.harness.models.seedx.tokenizer import Tokenizer

FORCED = 10.0


class PictureTokens(LogitsProcessor):
    """Behind ``<img>`` the next query token must stand, behind the last of them ``</img>``; elsewhere none may.

    ``<img>`` itself is free: the model decides to draw. ``last``: the ids that the prompts end with, for transformers'
    generate shows new tokens alone. ``as_released``: one that must stand is 10 above the best of all, and those that
    may not have the score 0, as in the authors' code, so that one of them is taken where all others are below.
    """

    def __init__(self, words: Tokenizer, last: Sequence[int], as_released: bool) -> None:
        chain = [words.image, *words.queries, words.image_end]
        self.follows = dict(pairwise(chain))
        self.closed = torch.tensor(chain[1:])
        self.last, self.as_released = tuple(last), as_released

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) scores to (B, V)."""
        last = input_ids[:, -1].tolist() if input_ids.shape[1] else self.last
        scores, closed = scores.clone(), self.closed.to(scores.device)
        for row, one in zip(scores, last, strict=True):
            following = self.follows.get(one)
            if following is None:
                row[closed] = 0.0 if self.as_released else -torch.inf
            elif self.as_released:
                row[following] = row.max() + FORCED
            else:
                row[:] = -torch.inf
                row[following] = 0.0
        return scores
