"""Log-probabilities of texts about pictures, autoregressive and exact: what preference training needs of captions.

A picture that SEED-X draws has none: its features are regressed, and the LLM's only choice is to begin one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hermes.harness.models.seedx.anyres import View, normalised
from hermes.harness.models.seedx.network import Agent, embedded, padded
from hermes.harness.models.seedx.prompting import Row
from hermes.harness.models.seedx.vit import VisionEncoder

NOTHING = -1
TOGETHER = 8


@dataclass(frozen=True)
class Prepared:
    """One tokenised item: the prompt, the answer's ids with the end token, and what is seen of its picture."""

    prompt: Row
    target: tuple[int, ...]
    view: View


@dataclass(frozen=True)
class Seen:
    """Pictures of a batch, equal ones once.

    ``images`` (M, 3, S, S) uint8; ``sources`` (K,) which image an entry is of and ``places`` (K, 2) where it lies;
    ``entries`` (N,) the entries in the order in which the rows' tokens stand for them.
    """

    images: Tensor
    sources: Tensor
    places: Tensor
    entries: Tensor

    def to(self, device: str | torch.device) -> "Seen":
        return Seen(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class LikelihoodBatch:
    """Rows of length L, padded on the right.

    ids, where (which tokens stand for pictures), attention and target (B, L), NOTHING where nothing is asked; counts
    (B,) how many tokens are summed.
    """

    ids: Tensor
    where: Tensor
    attention: Tensor
    target: Tensor
    counts: Tensor
    seen: Seen

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def gathered(views: Sequence[View], side: int) -> Seen:
    """All pictures of a batch, row by row; ``side`` S of an entry in pixels."""
    images: dict[bytes, tuple[int, np.ndarray[Any, Any]]] = {}
    entries: dict[tuple[int, tuple[float, float]], int] = {}
    order = []
    for view in views:
        numbers = [images.setdefault(image.tobytes(), (len(images), image))[0] for image in view.images]
        for entry, place in zip(view.entries, view.places, strict=True):
            order.append(entries.setdefault((numbers[entry], place), len(entries)))
    stacked = np.stack([image for _, image in images.values()]) if images else np.empty((0, 3, side, side), np.uint8)
    return Seen(
        torch.from_numpy(stacked),
        torch.tensor([image for image, _ in entries], dtype=torch.long),
        torch.tensor([place for _, place in entries]).view(-1, 2),
        torch.tensor(order, dtype=torch.long),
    )


def collate_items(items: Sequence[Prepared], pad: int, side: int) -> LikelihoodBatch:
    """Items of any lengths in one batch; ``pad`` is the padding token."""
    inner = [(*item.prompt.ids, *item.target[:-1]) for item in items]
    targets = [(*[NOTHING] * (len(item.prompt.ids) - 1), *item.target) for item in items]
    return LikelihoodBatch(
        ids=padded(inner, pad),
        where=padded([(*item.prompt.seen, *[False] * (len(item.target) - 1)) for item in items], False),
        attention=padded([[1] * len(row) for row in inner], 0),
        target=padded(targets, NOTHING),
        counts=torch.tensor([float(len(item.target)) for item in items]),
        seen=gathered([item.view for item in items], side),
    )


class Eyes(nn.Module):
    """Pictures of a batch to embeddings: the frozen vision encoder, equal images once, and the resampler behind it."""

    def __init__(self, vision: VisionEncoder, agent: Agent) -> None:
        super().__init__()
        self.vision, self.agent = vision, agent

    def forward(self, seen: Seen) -> Tensor:
        """(N, queries, LLM's width)."""
        with torch.no_grad():
            features = self.features(seen.images)
        return self.agent.embed(features[seen.sources], seen.places)[seen.entries]

    def features(self, images: Tensor) -> Tensor:
        """(M, T, width) of images (M, 3, S, S), uint8; some at a time, for their activations are large."""
        weight = self.vision.proj
        pixels = normalised(images.to(weight.device))
        if not len(pixels):
            return weight.new_empty(0, len(self.vision.attn_pool.query), len(weight))
        return torch.cat([self.vision(pixels[at : at + TOGETHER]) for at in range(0, len(pixels), TOGETHER)])


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Sums of next-token log-probabilities, in float32, of the answer and its end token. Trained are the LLM, the
    resampler before it and the marks of places.
    """

    def __init__(self, llm: Any, eyes: Eyes) -> None:
        super().__init__()
        self.llm, self.eyes = llm, eyes

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        rows = embedded(self.llm, batch.ids, batch.where, self.eyes(batch.seen))
        hidden = self.llm.model(inputs_embeds=rows, attention_mask=batch.attention, use_cache=False).last_hidden_state
        asked = batch.target != NOTHING
        scores = self.llm.lm_head(hidden[asked.to(hidden.device)]).float()
        wanted = batch.target[asked].to(scores.device)
        told = torch.log_softmax(scores, -1).gather(1, wanted[:, None])[:, 0].to(batch.counts.device)
        return torch.zeros_like(batch.counts).index_add(0, asked.nonzero()[:, 0], told), batch.counts
