"""Log-probabilities of texts and of image tokens, both autoregressive and exact: what preference training needs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

NOTHING = -1


@dataclass(frozen=True)
class Prepared:
    """One tokenised item: the prompt's ids, then the targets, which are text ids or, where ``drawn``, image codes.

    ``pixels`` (3, S, S) is the picture that the prompt's placeholders stand for, None where it has none.
    """

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    pixels: Tensor | None
    drawn: bool


@dataclass(frozen=True)
class LikelihoodBatch:
    """Rows of length L, padded on the right, and the pixels (N, 3, S, S) of those that have a picture.

    ids (B, L) text tokens; codes (B, L) image tokens, NOTHING elsewhere; attention (B, L); target (B, L), NOTHING where
    nothing is asked; drawn (B,) whether the targets are image codes; counts (B,) how many tokens are summed.
    """

    ids: Tensor
    codes: Tensor
    attention: Tensor
    target: Tensor
    drawn: Tensor
    counts: Tensor
    pixels: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def collate_items(items: Sequence[Prepared], pad: int, side: int) -> LikelihoodBatch:
    """Texts and images in one batch. ``pad`` is the padding token, ``side`` S of an image in pixels."""
    length = max(len(item.prompt) + len(item.target) - 1 for item in items)
    ids = torch.full((len(items), length), pad)
    codes, target = torch.full_like(ids, NOTHING), torch.full_like(ids, NOTHING)
    attention = torch.zeros_like(ids)
    for row, item in enumerate(items):
        begin, end = len(item.prompt), len(item.prompt) + len(item.target) - 1
        ids[row, :begin] = torch.tensor(item.prompt)
        (codes if item.drawn else ids)[row, begin:end] = torch.tensor(item.target[:-1], dtype=torch.long)
        target[row, begin - 1 : end] = torch.tensor(item.target)
        attention[row, :end] = 1
    pixels = [item.pixels for item in items if item.pixels is not None]
    return LikelihoodBatch(
        ids=ids,
        codes=codes,
        attention=attention,
        target=target,
        drawn=torch.tensor([item.drawn for item in items]),
        counts=torch.tensor([float(len(item.target)) for item in items]),
        pixels=torch.stack(pixels) if pixels else torch.empty(0, 3, side, side),
    )


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Sums of next-token log-probabilities: of the answer and its end token through the language head, of all image tokens
    through the generation head, without guidance. Every trainable part takes part in every batch, if with no row, so
    that processes which train together never wait for a gradient.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        model = self.network.model
        hidden = model.language_model(
            inputs_embeds=self._embedded(batch), attention_mask=batch.attention, use_cache=False
        ).last_hidden_state
        asked, drawn = batch.target != NOTHING, batch.drawn[:, None]
        total = torch.zeros_like(batch.counts)
        for where, head in ((asked & ~drawn, self.network.lm_head), (asked & drawn, model.generation_head)):
            told = torch.log_softmax(head(hidden[where]).float(), -1).gather(1, batch.target[where][:, None])[:, 0]
            total = total.index_add(0, where.nonzero()[:, 0], told)
        return total, batch.counts

    def _embedded(self, batch: LikelihoodBatch) -> Tensor:
        """(B, L, width): text embeddings, with the features of seen and the codes of drawn images in their places."""
        network, model = self.network, self.network.model
        embedded: Tensor = network.get_input_embeddings()(batch.ids)
        features = model.aligner(self._seen(batch.pixels))
        codes = batch.codes != NOTHING
        drawn = network.prepare_embeddings_for_image_generation(batch.codes[codes])
        seen = (batch.ids == network.config.image_token_id) & (batch.attention == 1) & ~codes
        for where, values in ((seen, features), (codes, drawn)):
            embedded = embedded.masked_scatter(where[..., None], values.to(embedded.dtype))
        return embedded

    @torch.no_grad()
    def _seen(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) pixels to (N, tokens, width) states of the frozen vision encoder."""
        encoder = self.network.model.vision_model
        if len(pixels):
            states: Tensor = encoder(pixels.to(encoder.dtype)).last_hidden_state
            return states
        return pixels.new_empty(0, encoder.config.num_image_tokens, encoder.config.hidden_size)
