"""Log-probabilities of texts and images, differentiable, as HermesFlow's Pair-DPO sums them (commit d6cf91a)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hermes.harness.models.masks import masks_of
from hermes.harness.models.showo.attention import features_mask, generation_mask, understanding_mask
from hermes.harness.models.showo.clip import ClipVision
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.prompting import Layout

NOTHING = -100
JOINED = 4


@dataclass(frozen=True)
class Prepared:
    """One tokenised item. ``text`` None: log p(image | prompt) under the mask of ``seed``; else log p(text | ...).

    ``image`` (N,) holds token ids; ``text`` ends with the end token. A text that a CLIP variant reads has no ids and
    the ``pixels`` (3, R, R) of CLIP instead.
    """

    prompt: tuple[int, ...]
    image: NDArray[np.int64]
    text: tuple[int, ...] | None
    seed: int = 0
    pixels: NDArray[np.uint8] | None = None

    def with_seed(self, seed: int) -> "Prepared":
        return self if self.text is not None else replace(self, seed=seed)


@dataclass(frozen=True)
class Row:
    """Token ids, the id that is to be read at each place or NOTHING, and how many features of CLIP stand in it."""

    ids: list[int]
    target: list[int]
    text: bool
    features: int = 0


@dataclass(frozen=True)
class LikelihoodBatch:
    """ids (R, L), who may attend to whom (R, L, L), and the id that is to be read at each place or NOTHING (R, L).

    Where rows are joined, places (R, L) are rotary positions, and row (R, L) says which of the rows before joining a
    place belongs to. owner (rows,): the item of each of those, where an image has one for each of its masks; None: row
    i is item i.
    For CLIP variants also where features stand (R, L), and those of the M rows that have some (M, count, CLIP's width).
    """

    ids: Tensor
    allowed: Tensor
    target: Tensor
    seen: Tensor | None = None
    features: Tensor | None = None
    owner: Tensor | None = None
    places: Tensor | None = None
    row: Tensor | None = None

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if value is not None})


def image_row(layout: Layout, prompt: Sequence[int], image: Sequence[int], hidden: NDArray[np.bool_]) -> Row:
    """The hidden tokens are read, and <soi> and <eoi>, which the reference counts too; nothing is shifted."""
    vocabulary = layout.vocabulary
    shown = [vocabulary.mask if hide else token for token, hide in zip(image, hidden, strict=True)]
    read = [token if hide else NOTHING for token, hide in zip(image, hidden, strict=True)]
    target = [NOTHING] * layout.image_begin + [vocabulary.soi, *read, vocabulary.eoi]
    return Row(layout.generation(prompt, shown), target, text=False)


def text_row(layout: Layout, image: Sequence[int], prompt: Sequence[int], text: Sequence[int]) -> Row:
    """The text's tokens are read, each one place before its own."""
    return _text_row([*layout.seen_image(image), *prompt], text, 0)


def features_row(layout: Layout, count: int, prompt: Sequence[int], text: Sequence[int]) -> Row:
    """Likewise, behind ``count`` features of CLIP."""
    return _text_row([*layout.seen_features(count), *prompt], text, count)


def _text_row(before: list[int], text: Sequence[int], features: int) -> Row:
    return Row([*before, *text], [NOTHING] * (len(before) - 1) + [*text, NOTHING], text=True, features=features)


def join_rows(rows: Sequence[Row]) -> tuple[Row, list[int], list[int]]:
    """One row of texts behind the same image and prompt, its rotary places, and the number of the text at each.

    They share what stands before the prompt's last token, numbered 0; each text, from 1 on, has its own copy of that.
    """
    first = rows[0]
    begin = next(place for place, target in enumerate(first.target) if target != NOTHING)
    ids, target, places, parts = first.ids[:begin], first.target[:begin], list(range(begin)), [0] * begin
    for number, row in enumerate(rows, 1):
        ids, target = ids + row.ids[begin:], target + row.target[begin:]
        places += range(begin, len(row.ids))
        parts += [number] * (len(row.ids) - begin)
    return replace(first, ids=ids, target=target), places, parts


def collate_joined(layout: Layout, rows: Sequence[Row], groups: Sequence[Sequence[int]]) -> LikelihoodBatch:
    """As ``collate_rows``, each group of row numbers in one row; no text sees another."""
    joined = [join_rows([rows[number] for number in group]) for group in groups]
    batch = collate_rows(layout, [row for row, _, _ in joined])
    places, part, number = torch.zeros(3, *batch.ids.shape, dtype=torch.long)
    for at, (group, (_, where, parts)) in enumerate(zip(groups, joined, strict=True)):
        places[at, : len(where)] = torch.tensor(where)
        part[at, : len(parts)] = torch.tensor(parts)
        number[at] = torch.tensor(group)[(part[at] - 1).clamp_min(0)]
    own = (part[:, None] == 0) | (part[:, None] == part[:, :, None])
    return replace(batch, allowed=batch.allowed & own, places=places, row=number)


def collate_rows(layout: Layout, rows: Sequence[Row]) -> LikelihoodBatch:
    """Rows padded on the right; the pads are seen by no token."""
    length = max(len(row.ids) for row in rows)
    pad = layout.vocabulary.pad
    ids = torch.tensor([row.ids + [pad] * (length - len(row.ids)) for row in rows])
    target = torch.tensor([row.target + [NOTHING] * (length - len(row.target)) for row in rows])
    text = torch.tensor([row.text for row in rows])
    allowed = torch.where(
        text[:, None, None], understanding_mask(ids, layout.vocabulary), generation_mask(ids, layout.vocabulary)
    )
    places = torch.arange(length) - layout.features_begin
    seen = (places >= 0) & (places < torch.tensor([[row.features] for row in rows]))
    if bool(seen.any()):
        allowed = torch.where(seen.any(1)[:, None, None], features_mask(seen), allowed)
    return LikelihoodBatch(ids, allowed, target, seen)


def collate_items(
    layout: Layout, items: Sequence[Prepared], clip: ClipVision | None = None, masks: int = 1
) -> LikelihoodBatch:
    """Texts and images in one batch, an image with a row for each of ``masks`` masks; ``clip`` sees the pixels.

    Texts behind the same image and prompt are joined, which saves most of the work on a winner and a loser.
    """
    found = [_rows(layout, item, clip, masks) for item in items]
    rows = [row for each in found for row in each]
    owner = [number for number, each in enumerate(found) for _ in each]
    groups = _alike([items[number] for number in owner])
    batch = collate_rows(layout, rows) if len(groups) == len(rows) else collate_joined(layout, rows, groups)
    if masks > 1:
        batch = replace(batch, owner=torch.tensor(owner))
    if clip is None:
        return batch
    seen = [items[owner[group[0]]].pixels for group in groups]
    return replace(batch, features=clip.see([pixels for pixels in seen if pixels is not None]))


def _alike(items: Sequence[Prepared]) -> list[list[int]]:
    """The numbers of items, up to JOINED together that are texts behind one image and prompt, in order of the first."""
    groups: dict[object, list[int]] = {}
    for number, item in enumerate(items):
        pixels = None if item.pixels is None else item.pixels.tobytes()
        key: object = number if item.text is None else (item.prompt, item.image.tobytes(), pixels)
        if len(groups.get(key, ())) == JOINED:
            groups[number, "full"] = groups.pop(key)
        groups.setdefault(key, []).append(number)
    return sorted(groups.values())


def _rows(layout: Layout, item: Prepared, clip: ClipVision | None, masks: int) -> list[Row]:
    image = item.image.tolist()
    if item.text is None:
        drawn = masks_of(item.seed, len(image), masks)
        return [image_row(layout, item.prompt, image, hidden) for hidden in drawn]
    if clip is not None:
        return [features_row(layout, clip.count, item.prompt, item.text)]
    return [text_row(layout, image, item.prompt, item.text)]


def pair_targets(
    labels: Tensor, image_rows: int, layout: Layout, accounting: Literal["intended", "released"] = "intended"
) -> tuple[Tensor, Tensor]:
    """HermesFlow's labels (B, L), its image rows first, to the targets of the image sum and of the text sum.

    ``released`` counts the shifted labels of all rows in the text sum, as the published trainer does because its slice
    ``[-0:]`` takes every row; ``intended`` counts the text rows'.
    """
    image = torch.full_like(labels, NOTHING)
    image[:image_rows, layout.image_begin :] = labels[:image_rows, layout.image_begin :]
    text = torch.full_like(labels, NOTHING)
    begin = 0 if accounting == "released" else image_rows
    text[begin:, :-1] = labels[begin:, 1:]
    return image, text


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Text: sum of next-token log-probabilities of the answer and the end token, exact. Image: sum over the hidden tokens
    of a mask, <soi> and <eoi>, not scaled to all tokens; mean over the item's masks. The projector of a CLIP variant
    takes part in every batch, if with no row, so that processes which train together never wait for a gradient.
    """

    def __init__(self, transformer: Phi, projector: nn.Module | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.projector = projector

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        features = None
        if self.projector is not None and batch.features is not None:
            features = batch.seen, self.projector(batch.features).flatten(0, 1)
        hidden, _ = self.transformer(batch.ids, batch.allowed, places=batch.places, features=features)
        where = batch.target != NOTHING
        told = torch.log_softmax(self.transformer.logits(hidden[where]), -1)
        told = told.gather(1, batch.target[where][:, None])[:, 0]
        row = where.nonzero()[:, 0] if batch.row is None else batch.row[where]
        rows = len(batch.ids) if batch.row is None else int(batch.row.max()) + 1
        sums = told.new_zeros(rows).index_add(0, row, told)
        counts = torch.bincount(row, minlength=rows).to(told.dtype)
        if batch.owner is None:
            return sums, counts
        size = int(batch.owner.max()) + 1
        masks = torch.bincount(batch.owner, minlength=size)
        log_probs, tokens = (told.new_zeros(size).index_add(0, batch.owner, each) / masks for each in (sums, counts))
        return log_probs, tokens
