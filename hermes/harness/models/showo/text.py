"""Image and prompt to text: next-token decoding behind a cached image, ragged prompts in one batch.

Source: Show-o commit 45a5a2d, models/modeling_showo.py (mmu_generate) and inference_mmu.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.row_noise import exponential, row_generator
from hermes.harness.models.showo.attention import features_mask, understanding_mask
from hermes.harness.models.showo.phi import Cache, Phi, with_room
from hermes.harness.models.showo.prompting import Layout


@dataclass(frozen=True)
class Ask:
    """One prompt, ids from <sot> on, about image number ``image``; temperature 0 is greedy, top_k 0 leaves all in."""

    image: int
    prompt: Sequence[int]
    seed: int = 0
    max_new_tokens: int = 100
    temperature: float = 0.0
    top_k: int = 0


def choose(logits: Tensor, temperature: float, top_k: int, noise: Tensor | None) -> Tensor:
    """(V,) logits to one token, (): greedy without noise; tokens that tie with the k-th best stay in."""
    if noise is None:
        return logits.argmax()
    scaled = logits / temperature
    if top_k:
        least = scaled.topk(min(top_k, len(scaled))).values[-1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    return (scaled.softmax(-1) / noise).argmax()


@torch.inference_mode()
def see_codes(model: Phi, layout: Layout, images: Tensor) -> Cache:
    """The cache of <mmu> <soi> image <eoi> for image token ids (N, n); none sees the prompt, so it serves all."""
    ids = torch.tensor([layout.seen_image(image) for image in images.tolist()], device=images.device)
    return model.remember(ids, understanding_mask(ids, layout.vocabulary))


@torch.inference_mode()
def see_features(model: Phi, layout: Layout, features: Tensor) -> Cache:
    """Likewise for projected features (N, n, width): <mmu> system prompt <soi> features <eoi>."""
    count, begin = features.shape[1], layout.features_begin
    ids = torch.tensor([layout.seen_features(count)], device=features.device).expand(len(features), -1)
    where = torch.zeros_like(ids, dtype=torch.bool)
    where[:, begin : begin + count] = True
    return model.remember(ids, features_mask(where), (where, features.flatten(0, 1)))


def _pad(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts padded on the left (B, P) and which of their tokens are real (B, P)."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    real = torch.tensor([[False] * (width - len(prompt)) + [True] * len(prompt) for prompt in prompts], device=device)
    return ids, real


@torch.inference_mode()
def write(model: Phi, layout: Layout, images: Tensor, asks: Sequence[Ask], end: int | None) -> list[list[int]]:
    """``write_behind`` the image token ids (N, n)."""
    return write_behind(model, layout, see_codes(model, layout, images), asks, end)


@torch.inference_mode()
def write_behind(
    model: Phi, layout: Layout, seen_images: Cache, asks: Sequence[Ask], end: int | None
) -> list[list[int]]:
    """The new token ids of each ask, without ``end``; None never ends.

    seen_images: the cache of N images. Positions and what is seen are those of the row alone, without the pads.
    """
    device = model.lm_head.weight.device
    ids, real = _pad([ask.prompt for ask in asks], layout.vocabulary.pad, device)
    rows, width = ids.shape
    prefix = seen_images[0][0].shape[2]
    length = prefix + width + max(ask.max_new_tokens for ask in asks)
    past = with_room(seen_images, torch.tensor([ask.image for ask in asks], device=device), length)
    order = torch.arange(width, device=device)
    seen = torch.cat([torch.ones(rows, prefix, dtype=torch.bool, device=device), real], 1)
    later = torch.cat([torch.ones(width, prefix, dtype=torch.bool, device=device), order <= order[:, None]], 1)
    places = prefix + (real.long().cumsum(1) - 1).clamp_min(0)
    hidden, _ = model(ids, seen[:, None] & later, past, places)
    place = places[:, -1]

    generators = [row_generator(ask.seed, device) if ask.temperature > 0 else None for ask in asks]
    active = list(range(rows))
    answers: list[list[int]] = [[] for _ in asks]
    while True:
        logits = model.logits(hidden[:, -1])
        tokens = torch.stack([_next(row, asks[n], generators[n]) for row, n in zip(logits, active, strict=True)])
        kept = []
        for row, (number, token) in enumerate(zip(active, tokens.tolist(), strict=True)):
            if token != end:
                answers[number].append(token)
                if len(answers[number]) < asks[number].max_new_tokens:
                    kept.append(row)
        if not kept:
            return answers
        if len(kept) < len(active):
            rest = torch.tensor(kept, device=device)
            tokens, seen, place, past = tokens[rest], seen[rest], place[rest], with_room(past, rest, length)
            active = [active[row] for row in kept]
        seen = torch.cat([seen, seen.new_ones(len(seen), 1)], 1)
        place = place + 1
        hidden, _ = model(tokens[:, None], seen[:, None], past, place[:, None])


def _next(logits: Tensor, ask: Ask, generator: torch.Generator | None) -> Tensor:
    noise = None if generator is None else exponential(generator, len(logits)).to(logits.device)
    return choose(logits, ask.temperature, ask.top_k, noise)
