"""Log-probabilities, differentiable: of texts exact, of pictures Gaussian ones of the flow under noise.

Texts are read as BAGEL is trained to: behind the mark that begins a text, with the mark that ends it. A picture's is
-1/2 of the summed squared error of the velocity (`models/noising.py`), at times drawn by the law of the training. The
latents of a picture are the likeliest of the autoencoder's: they are then the same in every epoch and process, worked
out once, and the only noise is that of the times' draws, which winner, loser, policy and reference share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

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

    ``seen`` (H, W, 3) are the levels of a picture that is read, ``tokens`` (M, channels) the clean ones of one that is
    drawn, of ``grid`` rows and columns.
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

    patches (S, n), ``cuts`` (pictures,) of them each; noised and target (M, channels) and times (R,); owner (R,), the
    item of each draw, of which there are ``draws`` for each; counts (B,).
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


def collate_items(
    items: Sequence[Prepared], marks: Marks, settings: Settings, sides: tuple[int, int], channels: int, draws: int
) -> LikelihoodBatch:
    """Texts and pictures in one batch. Texts behind the same picture and prompt stand in one row, and see none of each
    other: what they stand behind is most of the work on a winner and a loser.
    """
    rows: list[Row] = []
    owners: list[list[int]] = []
    patches, cuts = [], []
    noised, target, times, owner = [], [], [], []
    counts = torch.zeros(len(items))
    for group in _alike(items):
        first = items[group[0]]
        if first.text is not None:
            pixels = pixels_of(first.seen)
            grid = (pixels.shape[1] // settings.patch, pixels.shape[2] // settings.patch)
            row = Row(marks).seen(grid).text(first.prompt)
            for part, number in enumerate(group, 1):
                text = items[number].text or ()
                row = row.answer(text, part)
                counts[number] = len(text) + 1
            rows.append(row)
            owners.append(group)
            patches.append(patches_of(pixels, settings.patch))
            cuts.append(len(patches[-1]))
            continue
        clean = torch.from_numpy(first.tokens)
        counts[group[0]] = clean.numel()
        drawn_times = logit_normal(levels_of(first.seed, draws), shift=settings.train_shift).float()
        noise = noise_of(first.seed, draws, clean.shape)
        moved, wanted = flowed(clean.expand_as(noise), noise, drawn_times)
        noised.append(moved.flatten(0, 1))
        target.append(wanted.flatten(0, 1))
        times.append(drawn_times)
        for _ in range(draws):
            rows.append(Row(marks).text(first.prompt).noise(first.grid))
            owners.append(group)
            owner.append(group[0])
    empty = torch.empty(0, channels)
    return LikelihoodBatch(
        rows=packed(rows, sides, owners),
        patches=torch.cat([torch.empty(0, 3 * settings.patch**2), *patches]),
        cuts=tuple(cuts),
        noised=torch.cat([empty, *noised]),
        target=torch.cat([empty, *target]),
        times=torch.cat([torch.empty(0), *times]),
        owner=torch.tensor(owner, dtype=torch.long),
        counts=counts,
        draws=draws,
    )


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
