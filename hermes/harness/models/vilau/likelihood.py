"""Log-probabilities of texts and of a picture's codes, both autoregressive and exact: what preference training needs.

Source: mit-han-lab/vila-u, commit 096623c. A code's probability is that of the depth transformer behind the language
model's state at the position before and the true codes before it; no temperature, top-k, top-p or guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.vilau.network import Network
from hermes.harness.models.vilau.prompting import IMAGE

NOTHING = -1


@dataclass(frozen=True)
class Prepared:
    """One tokenised item: ``ids`` (L,) with IMAGE at each position of its picture, and ``target`` (L,), the text token
    that follows each of them, NOTHING where none is asked.

    ``features`` (N, C) are those of a picture that is read, ``codes`` (N, D) those of one that is drawn, else None.
    """

    ids: tuple[int, ...]
    target: tuple[int, ...]
    features: Tensor | None = None
    codes: Tensor | None = None


@dataclass(frozen=True)
class LikelihoodBatch:
    """B rows of length L, padded on the right: ids, attention and target (B, L), and counts (B,) of what is summed.

    ``features`` (n, C) of all positions of pictures that are read, in turn; ``codes`` (M, N, D) of the M pictures that
    are drawn, each in its row of ``drawn`` (M,) from the place behind ``begin`` (M,) on.
    """

    ids: Tensor
    attention: Tensor
    target: Tensor
    counts: Tensor
    features: Tensor
    codes: Tensor
    drawn: Tensor
    begin: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def text_item(prompt: Sequence[int], said: Sequence[int], features: Tensor | None) -> Prepared:
    """An answer, all of whose tokens are asked."""
    ids = [*prompt, *said]
    return Prepared(tuple(ids[:-1]), (NOTHING,) * (len(prompt) - 1) + tuple(said), features)


def image_item(prompt: Sequence[int], codes: Tensor) -> Prepared:
    """A picture's codes (N, D), all of which are asked, behind the prompt that asks for it."""
    ids = [*prompt, *[IMAGE] * (len(codes) - 1)]
    return Prepared(tuple(ids), (NOTHING,) * len(ids), codes=codes)


def collate_items(items: Sequence[Prepared], pad: int, model: Network) -> LikelihoodBatch:
    """Texts and pictures in one batch; ``pad`` is the padding token."""
    length = max(len(item.ids) for item in items)
    ids = torch.full((len(items), length), pad)
    target, attention = torch.full_like(ids, NOTHING), torch.zeros_like(ids)
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        target[row, : len(item.ids)] = torch.tensor(item.target)
        attention[row, : len(item.ids)] = 1
    codes = [item.codes for item in items if item.codes is not None]
    seen = [item.features for item in items if item.features is not None]
    drawn = [row for row, item in enumerate(items) if item.codes is not None]
    # The sizes do not come from weights, which are elsewhere while a training has them in shards.
    positions, depth, width = model.tower.positions, model.tower.depth, model.tower.width
    asked = [0 if item.codes is None else item.codes.numel() for item in items]
    return LikelihoodBatch(
        ids=ids,
        attention=attention,
        target=target,
        counts=(target != NOTHING).sum(1).float() + torch.tensor(asked),
        features=torch.cat(seen) if seen else torch.empty(0, width),
        codes=torch.stack(codes) if codes else torch.empty(0, positions, depth, dtype=torch.long),
        drawn=torch.tensor(drawn, dtype=torch.long),
        begin=torch.tensor([len(items[row].ids) - positions for row in drawn], dtype=torch.long),
    )


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Sums of log-probabilities: of the answer's tokens and its end over the vocabulary, and of all N x D codes of a
    picture over the codebook. The vision tower is frozen and always in evaluation mode. Every trainable part takes part
    in every batch, if with no row, so that processes which train together never wait for a gradient.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.eval()
        part: Any
        for part in network.modules():
            # Policy and reference must be one function; the attention's dropout cannot be switched off as a module.
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.0

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        network = self.network
        sums = network.tower.sums(batch.codes)
        hidden = network.read(network.embedded(batch.ids, self._features(batch, sums)), batch.attention)
        asked = batch.target != NOTHING
        scores = network.llm.lm_head(hidden[asked]).float().to(hidden.device)
        told = torch.log_softmax(scores, -1).gather(1, batch.target[asked][:, None])[:, 0]
        total = torch.zeros_like(batch.counts).index_add(0, asked.nonzero()[:, 0], told)
        return total.index_add(0, batch.drawn, self.of_codes(batch, hidden, sums).sum((1, 2))), batch.counts

    def of_codes(self, batch: LikelihoodBatch, hidden: Tensor, sums: Tensor) -> Tensor:
        """The log-probability (M, N, D) of each code, from states (B, L, H) and the sums (M, N, D, C) of its rows."""
        places = batch.begin[:, None] + torch.arange(batch.codes.shape[1], device=hidden.device)
        states = hidden[batch.drawn[:, None], places]
        before = sums[:, :, :-1].flatten(0, 1).to(states)
        logits = self.network.rqtransformer(states.flatten(0, 1), before).float()
        return torch.log_softmax(logits, -1).gather(2, batch.codes.flatten(0, 1)[..., None]).view(batch.codes.shape)

    def _features(self, batch: LikelihoodBatch, sums: Tensor) -> Tensor:
        """Those of all positions in the batch, in turn; a drawn picture's last one is not read."""
        rows = (batch.ids == IMAGE).nonzero()[:, 0]
        drawn = torch.isin(rows, batch.drawn)
        features = sums.new_empty(len(rows), sums.shape[-1])
        features[drawn] = sums[:, :-1, -1].flatten(0, 1)
        features[~drawn] = batch.features.to(features)
        return features
