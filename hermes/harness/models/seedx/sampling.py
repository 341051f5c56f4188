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
    """Behind ``<img>`` the next query token is set, behind the last of them ``</img>``; elsewhere none may stand.

    ``<img>`` itself is free: the model decides to draw. ``last``: the ids that the prompts end with, for transformers'
    generate shows new tokens alone. ``as_released``: where they may not stand the tokens have the score 0, as in the
    authors' code, so that one of them is taken where all others are below.
    """

    def __init__(self, words: Tokenizer, last: Sequence[int], as_released: bool) -> None:
        chain = [words.image, *words.queries, words.image_end]
        self.follows = dict(pairwise(chain))
        self.closed = torch.tensor(chain[1:])
        self.last, self.score = tuple(last), 0.0 if as_released else -torch.inf

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) scores to (B, V)."""
        last = input_ids[:, -1].tolist() if input_ids.shape[1] else self.last
        scores = scores.clone()
        for row, one in zip(scores, last, strict=True):
            following = self.follows.get(one)
            if following is None:
                row[self.closed.to(row.device)] = self.score
            else:
                row[following] = row.max() + FORCED
        return scores
