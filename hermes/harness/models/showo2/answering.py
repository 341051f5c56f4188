"""Questions to texts: each picture is read once, however many questions are about it, and answers are ragged rows.

Source: showlab/Show-o, commit 45a5a2d, show-o2: greedy, until <|im_end|>. The authors' loop computes everything again
for each token; what stands behind the picture is causal, so the keys and values of all that was read are kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.cache import give_room
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import SeededDraws
from hermes.harness.models.showo2.attending import causal, omni, on_the_right
from hermes.harness.models.showo2.network import Network


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


@torch.inference_mode()
def write_steps(
    model: Network,
    cache: DynamicCache,
    which: Sequence[int],
    asked: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    lengths: Sequence[int],
    end: int,
) -> tuple[list[list[int]], list[Tensor]]:
    """The new ids of each row, the last of them ``end`` unless it was cut at its length, and the logits (B, V) of each
    step.

    ``which``: the row of the cache that each is about, ``asked`` the ids behind it.
    """
    device, begin = model.device, cache.get_seq_length()
    give_room(cache, torch.tensor(which, device=device), max(map(len, asked)) + max(lengths))
    ids, real = on_the_right(asked, end, device)
    places = begin + (real.long().cumsum(1) - 1).clamp_min(0)
    seen = real.new_ones(len(asked), 1, real.shape[1], begin)
    allowed = torch.cat([seen, causal(real)], -1)
    choose = SeededDraws(draws)
    written: list[list[int]] = [[] for _ in asked]
    told: list[Tensor] = []
    while True:
        hidden = model.read(model.words(ids), allowed, places, cache)[:, -1]
        told.append(model.showo.lm_head(hidden).float())
        ids = choose(ids, told[-1]).argmax(-1)[:, None]
        for row, token, length in zip(written, ids[:, 0].tolist(), lengths, strict=True):
            if len(row) < length and row[-1:] != [end]:
                row.append(token)
        if all(len(row) >= length or row[-1:] == [end] for row, length in zip(written, lengths, strict=True)):
            return written, told
        places = places[:, -1:] + 1
        allowed = torch.cat([allowed[:, :, -1:], allowed.new_ones(len(asked), 1, 1, 1)], -1)
