"""Log-probabilities, differentiable: of texts exact, of pictures Gaussian ones of the flow under noise.

Texts are read as BAGEL is trained to: behind the mark that begins a text, with the mark that ends it. A picture's is
-1/2 of the summed squared error of the velocity (`models/noising.py`), at times drawn by the law of the training. The
latents of a picture are the likeliest of the autoencoder's: they are then the same in every epoch and process, worked
out once, and the only noise is that of the times' draws, which winner, loser, policy and reference share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hermes.harness.models.bagel.config import Settings
from hermes.harness.models.bagel.network import Bagel
from hermes.harness.models.bagel.pixels import patches_of, pixels_of
from hermes.harness.models.bagel.rows import NOTHING, Marks, Packed, Row, packed
from hermes.harness.models.noising import flowed, gaussian_log_probs, levels_of, logit_normal, noise_of

JOINED = 4
NO_PIXELS = np.empty((0, 0, 3), np.uint8)
NO_TOKENS = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Prepared:
    """One tokenised item. ``text`` None: log p(picture | prompt) under the noise of ``seed``; else log p(text | ...).

    ``seen`` (H, W, 3) are the levels of a picture that is read, none where a picture is drawn from words alone;
    ``tokens`` (M, channels) the clean ones of one that is drawn, of ``grid`` rows and columns.
    """

    prompt: tuple[int, ...]
    text: tuple[int, ...] | None
    seen: NDArray[np.uint8] = field(default_factory=lambda: NO_PIXELS)
    tokens: NDArray[np.float32] = field(default_factory=lambda: NO_TOKENS)
    grid: tuple[int, int] = (0, 0)
    seed: int = 0

    def with_seed(self, seed: int) -> "Prepared":
        return self if self.text is not None else replace(self, seed=seed)


@dataclass(frozen=True)
class LikelihoodBatch:
    """Rows of texts, and those of pictures of noise, one for each draw.

    patches (S, n), of which ``cuts`` are one picture's each; noised and target (M, channels) and times (R,); owner
    (R,), the item of each draw, of which there are ``draws`` for each; counts (B,).
    """

    rows: Packed
    patches: Tensor
    cuts: tuple[int, ...]
    noised: Tensor
    target: Tensor
    times: Tensor
    owner: Tensor
    counts: Tensor
    draws: int

    def to(self, device: str | torch.device) -> "LikelihoodBatch":
        moved = {
            one.name: getattr(self, one.name).to(device) for one in fields(self) if one.name not in ("cuts", "draws")
        }
        return replace(self, **moved)


class _Part(NamedTuple):
    """What one item, or texts behind the same, add to a batch; tensors as in `LikelihoodBatch`."""

    rows: list[Row]
    patches: Tensor
    noised: Tensor
    target: Tensor
    times: Tensor


def collate_items(
    items: Sequence[Prepared], marks: Marks, settings: Settings, sides: tuple[int, int], channels: int, draws: int
) -> LikelihoodBatch:
    """Texts and pictures in one batch. Texts behind the same picture and prompt stand in one row, and see none of each
    other: what they stand behind is most of the work on a winner and a loser.
    """
    groups = _alike(items)
    latents = torch.empty(0, channels)
    nothing = _Part([], torch.empty(0, 3 * settings.patch**2), latents, latents, torch.empty(0))
    parts = []
    for group in groups:
        first = items[group[0]]
        if first.text is None:
            parts.append(_drawn(first, marks, settings, draws, nothing))
        else:
            parts.append(_read(first, [items[number].text or () for number in group], marks, settings, nothing))
    numbered = [(group, part) for group, part in zip(groups, parts, strict=True) for _ in part.rows]
    owner = [group[0] for group, part in numbered if len(part.times)]
    counts = [float(item.tokens.size if item.text is None else len(item.text) + 1) for item in items]
    joined = {name: torch.cat([getattr(part, name) for part in (nothing, *parts)]) for name in _Part._fields[1:]}
    return LikelihoodBatch(
        rows=packed([row for part in parts for row in part.rows], sides, [group for group, _ in numbered]),
        cuts=tuple(len(part.patches) // len(part.rows) for part in parts if len(part.patches) for _ in part.rows),
        owner=torch.tensor(owner, dtype=torch.long),
        counts=torch.tensor(counts),
        draws=draws,
        **joined,
    )


def _read(item: Prepared, texts: Sequence[Sequence[int]], marks: Marks, settings: Settings, nothing: _Part) -> _Part:
    """Texts behind the item's picture and prompt, in a row."""
    pixels, patch = pixels_of(item.seen), settings.patch
    row = Row(marks).seen((pixels.shape[1] // patch, pixels.shape[2] // patch)).text(item.prompt)
    for number, text in enumerate(texts, 1):
        row = row.answer(text, number)
    return nothing._replace(rows=[row], patches=patches_of(pixels, patch))


def _drawn(item: Prepared, marks: Marks, settings: Settings, draws: int, nothing: _Part) -> _Part:
    """A picture under noise behind what is seen of it, if anything is, and its prompt, in a row for each draw."""
    clean = torch.from_numpy(item.tokens)
    times = logit_normal(levels_of(item.seed, draws), shift=settings.train_shift).float()
    noise = noise_of(item.seed, draws, clean.shape)
    noised, target = flowed(clean.expand_as(noise), noise, times)
    row, patches = Row(marks), nothing.patches
    if item.seen.size:
        pixels = pixels_of(item.seen)
        row = row.seen((pixels.shape[1] // settings.patch, pixels.shape[2] // settings.patch))
        patches = patches_of(pixels, settings.patch).repeat(draws, 1)
    rows = [row.text(item.prompt).noise(item.grid)] * draws
    noise_and_target = {"noised": noised.flatten(0, 1), "target": target.flatten(0, 1)}
    return nothing._replace(rows=rows, patches=patches, times=times, **noise_and_target)


def _alike(items: Sequence[Prepared]) -> list[list[int]]:
    """The numbers of items, up to JOINED together that are texts behind one picture and prompt."""
    groups: list[list[int]] = []
    last: dict[tuple[tuple[int, ...], tuple[int, ...], bytes], list[int]] = {}
    for number, item in enumerate(items):
        key = (item.prompt, item.seen.shape, item.seen.tobytes())
        group = last.get(key) if item.text is not None else None
        if group is None or len(group) == JOINED:
            group = []
            groups.append(group)
            if item.text is not None:
                last[key] = group
        group.append(number)
    return groups


def logged(network: Bagel, hidden: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities (n,) of ids ``target`` (n,) over the whole vocabulary, from states (n, width); float32."""
    return torch.log_softmax(network.language_model.logits(hidden), -1).gather(1, target[:, None])[:, 0]


def read_rows(network: Bagel, rows: Packed, features: Tensor, items: int) -> tuple[Tensor, Tensor]:
    """Sums of log-probabilities of texts (items,), and how many tokens were summed."""
    empty = torch.empty(0, network.channels, device=features.device)
    hidden, _ = network.read(rows, features, empty, torch.empty(0, device=features.device))
    return _summed(network, rows, hidden, items)


def _summed(network: Bagel, rows: Packed, hidden: Tensor, items: int) -> tuple[Tensor, Tensor]:
    asked = rows.target != NOTHING
    told = logged(network, hidden[: len(rows.ids)][asked], rows.target[asked])
    owner = rows.owner[asked]
    return told.new_zeros(items).index_add(0, owner, told), torch.bincount(owner, minlength=items)


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float tensors (B,).

    Text: the sum of next-token log-probabilities of the answer and its end. Picture: that of `gaussian_log_probs`, and
    how many numbers its latents have. All weights take part in every batch, if with no token.
    """

    def __init__(self, network: Bagel) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        network, rows, items = self.network, batch.rows, len(batch.counts)
        ends = torch.tensor([0, *batch.cuts]).cumsum(0).tolist()
        parts = [slice(begin, end) for begin, end in pairwise(ends)]
        features = network.looked([(batch.patches[part], rows.seen[part]) for part in parts])
        hidden, made = network.read(rows, features, batch.noised, batch.times)
        sums, _ = _summed(network, rows, hidden, items)
        found = network.llm2vae(made)
        # one place for each number of each picture, so that pictures of different sizes stand in one table
        size = torch.bincount(rows.picture, minlength=len(batch.times))
        longest = int(size.max()) if len(size) else 0
        within = torch.arange(len(rows.picture), device=size.device) - (size.cumsum(0) - size)[rows.picture]
        table = found.new_zeros(len(size), longest, network.channels, dtype=torch.float32)
        where = rows.picture, within
        both = [table.index_put(where, part.float()) for part in (found, batch.target)]
        return sums + gaussian_log_probs(both[0], both[1], batch.owner, items, batch.draws), batch.counts
