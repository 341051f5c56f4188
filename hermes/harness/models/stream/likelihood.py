"""Log-probabilities of texts and of image codes, both autoregressive and exact: what preference training needs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.emu3.likelihood import NOTHING, LikelihoodBatch, Prepared
from hermes.harness.models.head import head_of


def image_item(prompt: Sequence[int], numbers: Sequence[int], codes: Tensor) -> Prepared:
    """A picture from the ``numbers`` of its codes, whose ids are ``codes`` (K,); all of them are asked."""
    ids = [*prompt, *codes[list(numbers)].tolist()]
    return Prepared(tuple(ids[:-1]), (NOTHING,) * (len(prompt) - 1) + tuple(numbers), drawn=True)


def token_log_probs(network: Any, hidden: Tensor, target: Tensor, columns: Tensor | None = None) -> Tensor:
    """(N,) log-probabilities of ``target`` (N,) behind the states ``hidden`` (N, width), float32.

    With ``columns`` (C,) these ids alone can follow, and targets are their numbers; else any id of the vocabulary.
    """
    scores = head_of(network, columns)(hidden)
    return torch.log_softmax(scores, -1).gather(1, target.to(scores.device)[:, None])[:, 0]


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Sums of next-token log-probabilities: of the answer and what ends it over the whole vocabulary, and of a picture's
    codes over the codes alone, without guidance, as they are drawn: where a code stands nothing else can.
    """

    def __init__(self, network: Any, codes: Tensor) -> None:
        super().__init__()
        self.network = network
        self.codes: Tensor
        self.register_buffer("codes", codes.to(network.device), persistent=False)
        self.eval()
        part: Any
        for part in network.modules():
            # Policy and reference must be one function; the attention's dropout cannot be switched off as a module.
            if isinstance(part, nn.Dropout):
                part.p = 0.0
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.0

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        hidden = self.network.model(
            input_ids=batch.ids, attention_mask=batch.attention, use_cache=False
        ).last_hidden_state
        asked, drawn = batch.target != NOTHING, batch.drawn[:, None]
        total = torch.zeros_like(batch.counts)
        for where, columns in ((asked & ~drawn, None), (asked & drawn, self.codes)):
            told = token_log_probs(self.network, hidden[where.to(hidden.device)], batch.target[where], columns)
            total = total.index_add(0, where.nonzero()[:, 0], told.to(total))
        return total, batch.counts
