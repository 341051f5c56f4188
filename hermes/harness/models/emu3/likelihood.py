"""Log-probabilities of texts and of image codes, both autoregressive and exact: what preference training needs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.emu3.images import Tokens
from hermes.harness.models.head import head_of

NOTHING = -1


@dataclass(frozen=True)
class Prepared:
    """One tokenised item: ``ids`` (L,), and ``target`` (L,), what follows each of them, NOTHING where it is not asked.

    Targets are text ids or, where ``drawn``, the numbers of image codes among the codes.
    """

    ids: tuple[int, ...]
    target: tuple[int, ...]
    drawn: bool


@dataclass(frozen=True)
class LikelihoodBatch:
    """Rows of length L, padded on the right: ids, attention and target (B, L), drawn and counts (B,)."""

    ids: Tensor
    attention: Tensor
    target: Tensor
    drawn: Tensor
    counts: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def text_item(prompt: Sequence[int], said: Sequence[int]) -> Prepared:
    """An answer, all of whose tokens are asked."""
    ids = [*prompt, *said]
    return Prepared(tuple(ids[:-1]), (NOTHING,) * (len(prompt) - 1) + tuple(said), drawn=False)


def image_item(prompt: Sequence[int], lines: Tensor, tokens: Tokens) -> Prepared:
    """A picture from its tokens (H (W + 1),), of which the codes are asked and the line ends are not."""
    numbers = torch.searchsorted(tokens.codes, lines)
    target = torch.where(lines == tokens.line_end, NOTHING, numbers)[:-1].tolist()
    ids = [*prompt, *lines.tolist()]
    return Prepared(tuple(ids[:-2]), (NOTHING,) * (len(prompt) - 1) + tuple(target), drawn=True)


def collate_items(items: Sequence[Prepared], pad: int) -> LikelihoodBatch:
    """Texts and images in one batch; ``pad`` is the padding token."""
    length = max(len(item.ids) for item in items)
    ids = torch.full((len(items), length), pad)
    target, attention = torch.full_like(ids, NOTHING), torch.zeros_like(ids)
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        target[row, : len(item.ids)] = torch.tensor(item.target)
        attention[row, : len(item.ids)] = 1
    drawn = torch.tensor([item.drawn for item in items])
    return LikelihoodBatch(ids, attention, target, drawn, (target != NOTHING).sum(1).float())


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Sums of next-token log-probabilities: of the answer and its end token over the whole vocabulary, and of a picture's
    codes over the codes alone, without guidance. So images are drawn: where a code stands nothing else can, and line
    ends and the like are set, not drawn; they are read and not counted. Of two networks the first has the texts and the
    second the images. Every trainable part takes part in every batch, if with no row, so that processes which train
    together never wait for a gradient.
    """

    codes: Tensor

    def __init__(self, networks: Sequence[Any], codes: Tensor) -> None:
        super().__init__()
        self.networks: Any = nn.ModuleList(networks)
        self.register_buffer("codes", codes.to(networks[-1].device), persistent=False)
        self.eval()
        part: Any
        for part in self.networks.modules():
            # Policy and reference must be one function; the attention's dropout cannot be switched off as a module.
            if isinstance(part, nn.Dropout):
                part.p = 0.0
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.0

    def train(self, mode: bool = True) -> "Likelihood":
        """Training mode except for the VQ models, whose batch statistics are not to change."""
        super().train(mode)
        for network in self.networks:
            network.model.vqmodel.eval()
        return self

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(batch.counts)
        used = set()
        for drawn in (False, True):
            rows = (batch.drawn == drawn).nonzero()[:, 0]
            if len(rows):
                network = self.networks[-1 if drawn else 0]
                used.add(id(network))
                total = total.index_add(0, rows, self._told(network, batch, rows, drawn))
        for network in self.networks:
            if id(network) not in used:
                parts = [part for part in network.parameters() if part.requires_grad]
                total = total + sum(part.flatten()[0].to(total) * 0.0 for part in parts)
        return total, batch.counts

    def _told(self, network: Any, batch: LikelihoodBatch, rows: Tensor, drawn: bool) -> Tensor:
        """The sums (R,) of the rows, which are all texts or all images."""
        length = int(batch.attention[rows].sum(1).max())
        ids, attention, target = (part[rows, :length] for part in (batch.ids, batch.attention, batch.target))
        asked = target != NOTHING
        hidden = network.model.text_model(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state
        hidden = hidden[asked.to(hidden.device)]
        # A picture has thousands of codes: scores of the rest of the vocabulary would take most of the memory.
        scores = head_of(network, self.codes if drawn else None)(hidden)
        told = torch.log_softmax(scores, -1).gather(1, target[asked].to(scores.device)[:, None])[:, 0]
        return torch.zeros_like(batch.counts[rows]).index_add(0, asked.nonzero()[:, 0], told.to(batch.counts.device))
