"""Log-probabilities of texts and images, differentiable: masked on both sides, so estimates on both.

Sources: LLaDA's bound, E over t of the sum over masked tokens of (log p) / p(t), in the form with less noise of
ML-GSAI/LLaDA's get_log_likelihood.py; Gen-Verse/MMaDA commit 3cdb870, models/modeling_mmada.py (forward_process).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hermes.harness.models.masks import masks_of
from hermes.harness.models.mmada.prompting import Layout
from hermes.harness.models.mmada.reading import hidden_of, logits_of, padded
from hermes.harness.records.seeds import derive_seed

NOTHING = -1


@dataclass(frozen=True)
class Prepared:
    """One tokenised item, under the masks of ``seed``. ``text`` None: log p(image | prompt), else log p(text | ...).

    ``image`` (N,) holds token ids; ``prompt`` is the question's ids, or a drawing's words; ``text`` ends with the end
    token.
    """

    prompt: tuple[int, ...]
    image: NDArray[np.int64]
    text: tuple[int, ...] | None
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """Token ids under one mask, the hidden one at each place or NOTHING, and what its log-probability counts.

    ``stands``: the tokens whose log-probabilities the sum stands for. ``codes``: hidden tokens are image codes, read
    over the codes alone. ``start``: the place of the first token. ``pads``: how many of the first tokens are pads that
    all see, as the authors train.
    """

    ids: list[int]
    target: list[int]
    weight: float
    stands: int
    codes: bool
    start: int = 0
    pads: int = 0


@dataclass(frozen=True)
class LikelihoodBatch:
    """R rows of length L: ids, places and target (R, L); who sees whom, ``mask`` (R, L) or (R, 1, L, L), as `reading`
    has it; weight, stands and codes (R,); and owner (R,), the item of each row.
    """

    ids: Tensor
    places: Tensor
    target: Tensor
    mask: Tensor
    weight: Tensor
    stands: Tensor
    codes: Tensor
    owner: Tensor

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        return LikelihoodBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def text_masks(seed: int, tokens: int, count: int = 1) -> list[NDArray[np.bool_]]:
    """``count`` masks (tokens,) of a text: each hides from 1 to all tokens, every number as likely as another.

    The shares that they hide are spread evenly over all shares (LLaDA's stratified draw). They depend on the seed and,
    as little as can be, on the length: a longer text has the same share hidden, in the same order of places.
    """
    first = np.random.default_rng(derive_seed(seed, "text share")).random()
    masks = []
    for number in range(count):
        hidden = 1 + int((first + number / count) % 1 * tokens)
        order = np.random.default_rng(derive_seed(seed, "text mask", number)).random(tokens)
        masks.append(order.argsort().argsort() < hidden)
    return masks


def text_row(
    layout: Layout, before: Sequence[int], text: Sequence[int], hidden: NDArray[np.bool_], weight: float
) -> Row:
    """A text behind what stands before it. The sum of its hidden log-probabilities counts ``weight`` times."""
    mask = layout.vocabulary.mask
    shown = [mask if hide else token for token, hide in zip(text, hidden, strict=True)]
    read = [token if hide else NOTHING for token, hide in zip(text, hidden, strict=True)]
    return Row([*before, *shown], [NOTHING] * len(before) + read, weight, len(text), codes=False)


def image_row(layout: Layout, prompt: Sequence[int], image: Sequence[int], hidden: NDArray[np.bool_]) -> Row:
    """A picture behind its prompt: hidden codes, as they are drawn, over the codes alone."""
    words = layout.vocabulary
    shown = [words.mask if hide else token for token, hide in zip(image, hidden, strict=True)]
    read = [token if hide else NOTHING for token, hide in zip(image, hidden, strict=True)]
    ids = layout.generation(prompt, shown)
    target = [*[NOTHING] * (len(ids) - len(image) - 1), *read, NOTHING]
    return Row(ids, target, 1.0, sum(hidden.tolist()), codes=True, start=layout.pads(prompt))


def released_image_row(layout: Layout, prompt: Sequence[int], image: Sequence[int], hidden: NDArray[np.bool_]) -> Row:
    """Likewise as the authors train: over all tokens, <soi> and <eoi> counted too, and pads that all see."""
    row, pads, words = image_row(layout, prompt, image, hidden), layout.pads(prompt), layout.vocabulary
    begin = len(row.ids) - len(image) - 2
    target = [*[NOTHING] * (pads + begin), words.soi, *row.target[begin + 1 : -1], words.eoi]
    return Row([words.pad] * pads + row.ids, target, 1.0, row.stands + 2, codes=False, pads=pads)


def rows_of(layout: Layout, item: Prepared, masks: int, as_released: bool) -> list[Row]:
    """A row for each of ``masks`` masks."""
    image = item.image.tolist()
    if item.text is None:
        make = released_image_row if as_released else image_row
        return [make(layout, item.prompt, image, hidden) for hidden in masks_of(item.seed, len(image), masks)]
    before, text = [*layout.seen_image(image), *item.prompt], item.text
    drawn = text_masks(item.seed, len(text), masks)
    return [text_row(layout, before, text, hidden, len(text) / int(hidden.sum())) for hidden in drawn]


def collate_rows(layout: Layout, rows: Sequence[Row], owner: Sequence[int]) -> LikelihoodBatch:
    """Rows padded on the right. Where any has pads that all see, all get the authors' numbers for a mask: 1 is added
    between tokens that are no pads, which changes nothing for rows without.
    """
    ids, there, places = padded(
        [row.ids for row in rows], [row.start for row in rows], layout.vocabulary.pad, left=False
    )
    length = ids.shape[1]
    mask = there
    if any(row.pads for row in rows):
        told = there & (torch.arange(length) >= torch.tensor([[row.pads] for row in rows]))
        both = (told[:, :, None] & told[:, None, :]).float()
        mask = both.masked_fill(~there[:, None, :], torch.finfo(torch.float32).min)[:, None]
    return LikelihoodBatch(
        ids=ids,
        places=places,
        target=torch.tensor([row.target + [NOTHING] * (length - len(row.target)) for row in rows]),
        mask=mask,
        weight=torch.tensor([row.weight for row in rows]),
        stands=torch.tensor([float(row.stands) for row in rows]),
        codes=torch.tensor([row.codes for row in rows]),
        owner=torch.tensor(owner),
    )


def collate_items(
    layout: Layout, items: Sequence[Prepared], masks: int = 1, as_released: bool = False
) -> LikelihoodBatch:
    """Texts and images in one batch, each with a row for each of ``masks`` masks."""
    found = [rows_of(layout, item, masks, as_released) for item in items]
    owner = [number for number, each in enumerate(found) for _ in each]
    return collate_rows(layout, [row for each in found for row in each], owner)


def with_seed(prepared: Prepared, seed: int) -> Prepared:
    """The same item under the masks of another seed."""
    return replace(prepared, seed=seed)


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,), means over the masks.

    Text: the sum over hidden tokens, scaled to all of them, whose mean over masks is LLaDA's lower bound of the text's
    log-probability. Image: the sum over hidden codes, not scaled, as for Show-o.
    """

    def __init__(self, network: Any, layout: Layout) -> None:
        super().__init__()
        self.network = network
        self.layout = layout

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        asked = batch.target != NOTHING
        mask = batch.mask if batch.mask.dtype == torch.bool else batch.mask.to(self.network.dtype)
        hidden = hidden_of(self.network, batch.ids, mask, batch.places)
        row, target = asked.nonzero()[:, 0], batch.target[asked]
        hidden, drawn = hidden[asked], batch.codes[row]
        sums = batch.weight.new_zeros(len(batch.ids))
        first, codes = self.layout.vocabulary.first_code, self.layout.vocabulary.codes
        for kind, begin, end in ((True, first, first + codes), (False, 0, None)):
            which = (drawn == kind).nonzero()[:, 0]
            if len(which):
                told = torch.log_softmax(logits_of(self.network, hidden[which], begin, end), -1)
                told = told.gather(1, (target[which] - begin)[:, None])[:, 0]
                sums = sums.index_add(0, row[which], told)
        size = int(batch.owner.max()) + 1
        masks = torch.bincount(batch.owner, minlength=size)
        log_probs, counts = (
            sums.new_zeros(size).index_add(0, batch.owner, each) / masks for each in (sums * batch.weight, batch.stands)
        )
        return log_probs, counts
