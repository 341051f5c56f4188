"""Questions to texts: each picture is read once, however many questions are about it, and answers are ragged rows.

Source: showlab/Show-o, commit 45a5a2d, show-o2: greedy, until <|im_end|>. The authors' loop computes everything again
for each token; what stands behind the picture is causal, so the keys and values of all that was read are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.cache import give_room
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import SeededDraws
from hermes.harness.models.showo2.attending import causal, omni, on_the_right
from hermes.harness.models.showo2.network import Network


@dataclass(frozen=True)
class Step:
    """Logits (B, V) of a token, and the ids (B,) that were chosen."""

    logits: Tensor
    ids: Tensor


@torch.inference_mode()
def see(
    model: Network, before: Sequence[int], latents: Tensor | None, end: int, released: bool = False
) -> DynamicCache:
    """The cache of D pictures ``latents`` (D, C, 2h, 2w), each with ``before`` before it and the id ``end`` behind it.

    Of no picture, where ``latents`` is None, that of ``before`` alone.
    """
    cache, device = DynamicCache(), model.device
    embedded = model.words(torch.tensor([before], device=device))
    start, size = torch.full((1,), len(before), device=device), 0
    if latents is not None:
        shown, _ = model.picture(latents.to(device), torch.ones(len(latents), device=device))
        size = shown.shape[1]
        behind = model.words(torch.tensor([[end]], device=device))
        embedded = torch.cat([embedded.expand(len(shown), -1, -1), shown, behind.expand(len(shown), -1, -1)], 1)
    length = embedded.shape[1]
    allowed = omni(length, start + 1 if released else start, size)
    model.read(embedded, allowed, torch.arange(length, device=device)[None], cache)
    return cache


def write(
    model: Network,
    cache: DynamicCache,
    which: Sequence[int],
    asked: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    lengths: Sequence[int],
    end: int,
) -> list[list[int]]:
    """The new ids of each row, the last of them ``end`` unless it was cut at its length.

    ``which``: the row of the cache that each is about, ``asked`` the ids behind it.
    """
    written: list[list[int]] = [[] for _ in asked]
    for step in write_steps(model, cache, which, asked, draws, max(lengths), end):
        for row, token, length in zip(written, step.ids.tolist(), lengths, strict=True):
            if len(row) < length and row[-1:] != [end]:
                row.append(token)
        if all(len(row) >= length or row[-1:] == [end] for row, length in zip(written, lengths, strict=True)):
            break
    return written


@torch.inference_mode()
def write_steps(
    model: Network,
    cache: DynamicCache,
    which: Sequence[int],
    asked: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    count: int,
    pad: int,
) -> Iterator[Step]:
    """``count`` steps of all rows; ``pad`` is any id, and arguments are as in ``write``."""
    device, begin = model.device, cache.get_seq_length()
    give_room(cache, torch.tensor(which, device=device), max(map(len, asked)) + count)
    ids, real = on_the_right(asked, pad, device)
    places = begin + (real.long().cumsum(1) - 1).clamp_min(0)
    seen = real.new_ones(len(asked), 1, real.shape[1], begin)
    allowed = torch.cat([seen, causal(real)], -1)
    choose = SeededDraws(draws)
    for _ in range(count):
        hidden = model.read(model.words(ids), allowed, places, cache)[:, -1]
        logits = model.showo.lm_head(hidden).float().to(device)
        ids = choose(ids, logits).argmax(-1)[:, None]
        yield Step(logits, ids[:, 0])
        places = places[:, -1:] + 1
        allowed = torch.cat([allowed[:, :, -1:], allowed.new_ones(len(asked), 1, 1, 1)], -1)
