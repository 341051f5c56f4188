"""Token sequences: an image with its dialogues, a prompt with its masked images, and batches of either."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE
from hermes.harness.models.tiny.transformer import omni_mask

SPECIALS = ("<pad>", "<unk>", "<mmu>", "<t2i>", "<soi>", "<ans>", "<end>", "<mask>")
PAD, UNK, MMU, T2I, SOI, ANS, END, MASK = range(len(SPECIALS))
NOTHING = -1
TEXT_PLACE = SIDE + 2
Ints = NDArray[np.int64]
_CELLS = np.arange(IMAGE_TOKENS)
_GRID = np.stack([_CELLS // SIDE, _CELLS % SIDE], 1)


@dataclass(frozen=True)
class Row:
    """One sequence of L tokens. ``target`` is what the hidden state of a position must tell, or NOTHING.

    tokens, segment, cell, target: (L,); place: (L, 2). See Transformer.forward and omni_mask.
    """

    tokens: Ints
    segment: Ints
    place: Ints
    cell: Ints
    target: Ints


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right to a common length: tensors (B, L), place (B, L, 2), mask (B, L, L)."""

    tokens: Tensor
    place: Tensor
    cell: Tensor
    target: Tensor
    mask: Tensor

    @property
    def asked(self) -> Tensor:
        """(B, L): whose hidden state must tell something."""
        return self.target != NOTHING

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            self.tokens.to(device),
            self.place.to(device),
            self.cell.to(device),
            self.target.to(device),
            self.mask.to(device),
        )


def _text(ids: Ints, segment: int, start: int, target: Ints) -> Row:
    place = np.repeat(np.arange(start, start + len(ids))[:, None], 2, 1)
    return Row(ids, np.full(len(ids), segment), place, np.zeros(len(ids), np.int64), target)


def _image(ids: Ints, segment: int, target: Ints) -> Row:
    return Row(ids, np.full(IMAGE_TOKENS, segment), _GRID, _CELLS + 1, target)


def _join(parts: Sequence[Row]) -> Row:
    names = ("tokens", "segment", "place", "cell", "target")
    return Row(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _nothing(length: int) -> Ints:
    return np.full(length, NOTHING, np.int64)


def understanding_row(image: Ints, dialogues: Sequence[tuple[Sequence[int], Sequence[int] | None]]) -> Row:
    """<mmu> image, then for each dialogue: prompt <ans> answer <end>; all dialogues see the image, none another one.

    ``image`` (36,) holds token ids. With an answer of None the dialogue ends after <ans>, ready to be answered.
    Targets are the answer's tokens and <end>.
    """
    parts = [_text(np.array([MMU]), 0, TEXT_PLACE - 1, _nothing(1)), _image(image, 0, _nothing(IMAGE_TOKENS))]
    for number, (prompt, answer) in enumerate(dialogues, start=1):
        told = [] if answer is None else [*answer, END]
        ids = np.array([*prompt, ANS, *told[:-1]], np.int64)
        target = np.concatenate([_nothing(len(prompt)), np.array(told or [NOTHING], np.int64)])
        parts.append(_text(ids, number, TEXT_PLACE, target))
    return _join(parts)


def generation_prefix(prompt: Sequence[int]) -> Row:
    """<t2i> prompt <soi>. An empty prompt is the unconditional one."""
    ids = np.array([T2I, *prompt, SOI], np.int64)
    return _text(ids, 0, TEXT_PLACE - 1, _nothing(len(ids)))


def planning_prefix() -> Row:
    """<t2i>: what comes before the prompt of a plan."""
    return _text(np.array([T2I]), 0, TEXT_PLACE - 1, _nothing(1))


def plan_row(prompt: Sequence[int], plan: Sequence[int]) -> Row:
    """<t2i> prompt <ans> plan <end>: the picture in words. Targets are the plan's tokens and <end>."""
    ids = np.array([T2I, *prompt, ANS, *plan], np.int64)
    return _text(ids, 0, TEXT_PLACE - 1, np.concatenate([_nothing(len(prompt) + 1), np.array([*plan, END], np.int64)]))


def masked_image(image: Ints, hidden: NDArray[np.bool_], segment: int = 1) -> Row:
    """An image (36,) whose hidden cells read <mask> and have their token as target."""
    return _image(np.where(hidden, MASK, image), segment, np.where(hidden, image, NOTHING))


def generation_row(prompt: Sequence[int], image: Ints, masks: Sequence[NDArray[np.bool_]]) -> Row:
    """The prompt and one copy of the image for each mask (36,); the copies do not see each other."""
    copies = [masked_image(image, hidden, segment) for segment, hidden in enumerate(masks, start=1)]
    return _join([generation_prefix(prompt), *copies])


def collate(rows: Sequence[Row]) -> Batch:
    """Pad on the right and build the attention masks."""
    shape = (len(rows), max(len(row.tokens) for row in rows))
    tokens, cell, target = np.full(shape, PAD), np.zeros(shape, np.int64), np.full(shape, NOTHING)
    segment, place = np.full(shape, -1), np.zeros((*shape, 2), np.int64)
    for index, row in enumerate(rows):
        length = len(row.tokens)
        tokens[index, :length], cell[index, :length], target[index, :length] = row.tokens, row.cell, row.target
        segment[index, :length], place[index, :length] = row.segment, row.place
    mask = omni_mask(torch.from_numpy(segment), torch.from_numpy(cell > 0))
    return Batch(
        torch.from_numpy(tokens), torch.from_numpy(place), torch.from_numpy(cell), torch.from_numpy(target), mask
    )


def cosine_mask(rng: np.random.Generator, u: float | None = None) -> NDArray[np.bool_]:
    """A random mask (36,) whose share follows MaskGIT's cosine law, cos(pi u / 2) with u uniform; at least one cell."""
    share = np.cos(np.pi / 2 * (rng.random() if u is None else u))
    hidden = np.zeros(IMAGE_TOKENS, bool)
    hidden[rng.permutation(IMAGE_TOKENS)[: max(1, int(np.ceil(share * IMAGE_TOKENS)))]] = True
    return hidden
