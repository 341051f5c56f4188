"""Texts, word by word, of rows of any lengths behind words and pictures that are read once.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/bagel.py (generate_text).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hermes.harness.models.bagel.attending import Cache, NextWord
from hermes.harness.models.bagel.network import Bagel
from hermes.harness.models.bagel.rows import Row, packed
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import pick

Choose = Callable[[int, Tensor], Sequence[int] | None]


@torch.inference_mode()
def remember(
    network: Bagel, rows: Sequence[Row], features: Tensor | None = None, latents: Tensor | None = None, more: int = 0
) -> Cache:
    """The cache of rows, with room for ``more`` tokens.

    ``features`` (S, wide) are those of their seen pictures, ``latents`` (M, channels) the tokens of their clean ones.
    """
    if features is None:
        features = network.vit_model.empty()
    if latents is None:
        latents = torch.empty(0, network.channels)
    whole = packed(rows, network.sides).to(network.device)
    cache = Cache(whole.lengths, more)
    times = torch.zeros(int(whole.picture.max()) + 1 if len(whole.picture) else 0, device=network.device)
    network.read(whole, features, latents.to(network.device), times, cache)
    return cache


@torch.inference_mode()
def step_by_step(network: Bagel, rows: Sequence[Row], cache: Cache, choose: Choose) -> None:
    """Give ``choose`` the number of a step and float32 logits (B, V), until it gives no ids (B,) to go on with.

    The first logits stand behind the mark that begins a text.
    """
    chosen: Sequence[int] | None = [row.marks.begin for row in rows]
    places = torch.tensor([row.place for row in rows], device=network.device)
    step = 0
    while chosen is not None:
        words = network.language_model.model.embed_tokens(torch.tensor(chosen, device=network.device))
        hidden, _ = network.run(words, words[:0], places + step, NextWord(cache, step))
        chosen = choose(step, network.language_model.logits(hidden))
        step += 1


def write(
    network: Bagel, rows: Sequence[Row], cache: Cache, draws: Sequence[Draw], limits: Sequence[int], words: int
) -> list[list[int]]:
    """The ids of each row's text, at most its limit, up to and with the one that ends it.

    Only the first ``words`` ids are drawn: those behind them are of no token. The cache has room for the longest.
    """
    written: list[list[int]] = [[] for _ in rows]
    generators = [torch.Generator().manual_seed(draw.seed) for draw in draws]
    going = [limit > 0 for limit in limits]

    def choose(step: int, logits: Tensor) -> list[int] | None:
        told = logits[:, :words]
        best = told.argmax(-1).tolist()
        for number, draw in enumerate(draws):
            if going[number] and draw.temperature:
                uniform = float(torch.rand((), generator=generators[number], dtype=torch.float64))
                best[number] = int(pick(told[number], draw, uniform))
            if going[number]:
                written[number].append(best[number])
                ended = best[number] == rows[number].marks.end
                going[number] = not ended and len(written[number]) < limits[number]
        return best if any(going) else None

    step_by_step(network, rows, cache, choose)
    return written
