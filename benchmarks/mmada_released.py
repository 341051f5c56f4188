"""The released way to run MMaDA, in plain torch over our weights: the peer of mmada_speed.py.

What is done and in which order is that of Gen-Verse/MMaDA at 3cdb870 (models/modeling_mmada.py): at every step whole
rows with their pads, additive float masks [B, 1, L, L], logits of all places over the whole vocabulary, and for texts
their float64 probabilities.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models.mmada.prompting import Layout

TINY = 1e-20
UNKNOWN = -1


def all_logits(network: Any, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, L) ids to logits (B, L, vocabulary). ``mask`` (B, L): which tokens see and are seen; None: all."""
    seen = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    pairs = (seen[:, None, :, None] & seen[:, None, None, :]).expand(-1, 1, -1, -1)
    added = torch.zeros(pairs.shape, device=ids.device).masked_fill(~pairs, torch.finfo(torch.float32).min)
    logits: Tensor = network(input_ids=ids, attention_mask=added.to(network.dtype), use_cache=False).logits
    return logits


@torch.no_grad()
def write_released(
    network: Any, mask: int, prompts: Sequence[Sequence[int]], tokens: int, steps: int, block: int
) -> Tensor:
    """``tokens`` greedy ids (B, tokens) behind prompts of one length."""
    device = network.lm_head.weight.device
    ids = torch.tensor([[*prompt, *[mask] * tokens] for prompt in prompts], device=device)
    begin = ids.shape[1] - tokens
    for number in range(tokens // block):
        share = steps // (tokens // block)
        for step in range(share):
            unknown = ids == mask
            logits = all_logits(network, ids)
            found = logits.argmax(-1)
            sure = logits.to(torch.float64).softmax(-1).gather(-1, found[..., None])[..., 0]
            sure[:, begin + (number + 1) * block :] = -torch.inf
            found = torch.where(unknown, found, ids)
            sure = torch.where(unknown, sure, -torch.inf)
            count = block // share + (step < block % share)
            for row in range(len(ids)):
                best = sure[row].topk(count).indices
                ids[row, best] = found[row, best]
    return ids[:, begin:]


@torch.no_grad()
def draw_released(
    network: Any,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    tokens: int,
    steps: int,
    guidance: float,
    generator: torch.Generator,
) -> Tensor:
    """Image token ids (B, tokens) for the prompts' ids, at temperature 1; the generator is on the model's device."""
    words, device = layout.vocabulary, network.lm_head.weight.device

    def row(text: Sequence[int]) -> list[int]:
        return [*[words.pad] * layout.pads(text), *layout.generation(text, [words.mask] * tokens)]

    ids = torch.tensor([row(text) for text in texts], device=device)
    free = torch.tensor([row([]) for _ in texts], device=device)
    seen = torch.cat([ids, free]) != words.pad
    part = slice(-(tokens + 1), -1)
    codes, temperature = torch.full((len(texts), tokens), UNKNOWN, device=device), 1.0
    for step in range(steps):
        free = torch.cat([free[:, : layout.max_text + 1], ids[:, layout.max_text + 1 :]], 1)
        given, empty = all_logits(network, torch.cat([ids, free]), seen).chunk(2)
        logits = ((1 + guidance) * given - guidance * empty)[:, part, words.first_code : words.first_code + words.codes]
        shares = logits.softmax(-1)
        drawn = torch.multinomial(shares.reshape(-1, words.codes), 1, generator=generator).view(codes.shape)
        unknown = codes == UNKNOWN
        drawn = torch.where(unknown, drawn, codes)
        ratio = (step + 1) / steps
        left = (tokens * torch.cos(torch.tensor(ratio) * math.pi * 0.5)).floor().to(device)
        left = torch.minimum(left, unknown.sum(1, keepdim=True) - 1).clamp_min(1).long()
        share = shares.gather(-1, drawn[..., None])[..., 0]
        share = torch.where(unknown, share, torch.finfo(share.dtype).max)
        temperature *= 1 - ratio
        noise = torch.rand(share.shape, generator=generator, device=device)
        noise = -(-noise.clamp_min(TINY).log()).clamp_min(TINY).log()
        sure = share.clamp_min(TINY).log() + temperature * noise
        masked = sure < sure.sort(1).values.gather(1, left)
        codes = torch.where(masked, UNKNOWN, drawn)
        ids[:, part] = torch.where(masked, words.mask, drawn + words.first_code)
    return drawn + words.first_code
