"""The released way to run Show-o2, in plain torch over our weights: the peer of showo2_speed.py.

What is done and in which order is that of showlab/Show-o at 45a5a2d, folder show-o2: one question at a time, whose
whole sequence is computed again for each token; of pictures whole rows with what stands behind the picture and all
padding, both paths of the picture for the rows without a prompt, too, additive float masks [B, 1, L, L], logits of all
places over the whole vocabulary, and the flow head over all of them. A question's picture is embedded once.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models.showo2.attending import omni
from hermes.harness.models.showo2.drawing import grid
from hermes.harness.models.showo2.network import Network

HIDDEN = float(torch.iinfo(torch.int64).min)


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 1, L, L) booleans to the mask that is added to the scores."""
    return torch.zeros(allowed.shape, device=allowed.device, dtype=dtype).masked_fill(~allowed, HIDDEN)


@torch.no_grad()
def write_released(
    model: Network, before: Sequence[int], latents: Tensor, after: Sequence[int], count: int
) -> list[int]:
    """``count`` greedy tokens behind one picture (C, 2h, 2w) and one question, with the aligned box."""
    device = model.device
    shown, _ = model.picture(latents[None], torch.ones(1, device=device))
    first, last = (model.words(torch.tensor([list(ids)], device=device)) for ids in (before, after))
    embedded = torch.cat([first, shown, last], 1)
    begin, written = torch.tensor([len(before)], device=device), []
    for _ in range(count):
        length = embedded.shape[1]
        mask = additive(omni(length, begin, shown.shape[1]), embedded.dtype)
        places = torch.arange(length, device=device)[None]
        logits = model.showo.lm_head(model.read(embedded, mask, places)).float()
        token = torch.multinomial(_best(logits[:, -1]).softmax(-1), 1)
        written.append(int(token))
        embedded = torch.cat([embedded, model.words(token)], 1)
    return written


@torch.no_grad()
def draw_released(
    model: Network, wan: Any, rows: Tensor, begin: Tensor, noise: Tensor, guidance: float, points: int
) -> Tensor:
    """Pixels (B, 3, H, W) of whole rows' ids (2 B, L), those without a prompt last, with a picture from ``begin`` on.

    ``wan`` is diffusers' autoencoder, with whole kernels.
    """
    device, size = model.device, (noise.shape[-2], noise.shape[-1])
    count, length = size[0] * size[1] // model.patch**2 + 1, rows.shape[1]
    at = begin[:, None] + torch.arange(count, device=device)
    where = torch.arange(len(rows), device=device)[:, None], at
    inside = torch.zeros_like(rows).index_put(where, torch.ones_like(at)).bool()
    mask = additive(omni(length, begin, count), model.dtype)
    places, times = torch.arange(length, device=device)[None], grid(points).tolist()
    x = noise
    for now, then in pairwise(times):
        both = torch.cat([x, x])
        shown, time = model.picture(both, torch.full((len(both),), now, device=device))
        hidden = model.read(model.words(rows).index_put(where, shown), mask, places)
        model.showo.lm_head(hidden)
        states = model.flow(hidden, time, inside, mask, places)
        made = model.velocity(states[where[0], at[:, 1:]], time, size).float()
        conditional, without = made.chunk(2)
        x = x + (then - now) * (without + guidance * (conditional - without))
    shape = (1, -1, 1, 1)
    mean, std = (
        torch.tensor(told, device=device).view(shape) for told in (wan.config.latents_mean, wan.config.latents_std)
    )
    return wan.decode((x * std + mean)[:, :, None]).sample[:, :, 0].clamp(-1, 1)


def _best(logits: Tensor) -> Tensor:
    """All but the largest out of reach: top-k 1 with a draw, as the scripts call it."""
    return logits.masked_fill(logits < logits.topk(1).values, -torch.inf)
