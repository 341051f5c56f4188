"""Parallel decoding of masked image tokens, the most confident first (MaskGIT, Chang et al. 2022), as Show-o has it.

Source: Show-o commit 45a5a2d, models/modeling_showo.py (t2i_generate) and models/sampling.py; MMaDA commit 3cdb870 does
the same. As there, the confidence noise shrinks by (1 - r) at every step cumulatively, and the number left masked is
computed in float32.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.orders import halton_ranks, preference
from hermes.harness.models.row_noise import exponential, uniform
from hermes.harness.models.seeded import Draw
from hermes.harness.records.types import GenerationConfig, Order
from hermes.harness.system.errors import HermesError

TINY = 1e-20
IMAGE_TEMPERATURE = 1.0


@dataclass(frozen=True)
class Drawing:
    """``guidance`` 0 needs no unconditional rows; ``temperature`` 0 takes the best token, without confidence noise.

    ``order`` and ``choice_temperature``, the scale of the order's noise, are the reference's as they stand here: there
    ``temperature`` is that scale. Every other order is ours, and so are ``top_k`` and ``top_p``, of which 0 and 1 keep
    every token.
    """

    steps: int
    guidance: float
    temperature: float = IMAGE_TEMPERATURE
    order: Order = "confidence"
    choice_temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0


@dataclass(frozen=True)
class Step:
    """One step over B images of N tokens: token ids before it, those chosen, their confidence, and who stays masked."""

    before: Tensor
    chosen: Tensor
    confidence: Tensor
    masked: Tensor


def drawing_of(config: GenerationConfig, defaults: GenerationConfig, who: str) -> Drawing:
    """What a request asks for over the defaults of the model ``who``, checked."""
    steps = defaults.steps if config.steps is None else config.steps
    guidance = defaults.guidance_scale if config.guidance_scale is None else config.guidance_scale
    temperature = IMAGE_TEMPERATURE if config.temperature is None else config.temperature
    if steps is None or steps < 1:
        raise HermesError(f"steps: {who} draws an image's tokens in 1 or more steps, not {steps}")
    top_k, top_p = config.top_k or 0, 1.0 if config.top_p is None else config.top_p
    if temperature < 0 or guidance is None or guidance < 0 or top_k < 0:
        raise HermesError("temperature, top_k and guidance_scale must not be negative")
    order: Order = config.order or "confidence"
    return Drawing(steps, guidance, temperature, order, config.choice_temperature, top_k, top_p)


def empty_image(count: int, tokens: int, mask: int, device: torch.device) -> Tensor:
    """(count, tokens) of the token ``mask``."""
    return torch.full((count, tokens), mask, device=device)


def left_masked(step: int, steps: int, tokens: int) -> int:
    """How many of all tokens the cosine law leaves masked after step number ``step`` (from 0), before its bounds."""
    share = torch.cos(torch.tensor((step + 1) / steps) * math.pi * 0.5)
    return int((tokens * share).floor())


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise from uniform numbers in [0, 1); both logarithms are bounded below."""
    return -(-uniform.clamp_min(TINY).log()).clamp_min(TINY).log()


def guided(logits: Tensor, guidance: float) -> Tensor:
    """(B, ...) logits, or (2 B, ...) with the unconditional rows last where there is guidance, to (B, ...)."""
    if not guidance > 0:
        return logits
    conditional, unconditional = logits.chunk(2)
    return (1 + guidance) * conditional - guidance * unconditional


def draw_steps(
    read: Callable[[Tensor], Tensor],
    image: Tensor,
    first_code: int,
    mask: int,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Iterator[Step]:
    """Every step of drawing ``image`` (B, N) token ids, where ``mask`` stands for what is to be drawn.

    read: token ids (B, N) to guided logits (B, N, codes); code 0 is the token ``first_code``. generators:
    each for an equal share of the rows in order; with one for each row, a row's draws are those of the row alone.
    """
    rows, tokens = image.shape
    temperature = drawing.temperature if drawing.choice_temperature is None else drawing.choice_temperature
    ranks = halton_ranks(math.isqrt(tokens)) if drawing.order == "halton" else torch.zeros(tokens)
    ranks = ranks.to(image.device)
    for step in range(drawing.steps):
        logits = read(image)
        probabilities = logits.softmax(-1)
        known = image != mask
        race, even = _noise(generators, rows, tokens, probabilities.shape[-1], image.device)
        drawn = (_kept(logits, probabilities, drawing) / race if drawing.temperature > 0 else probabilities).argmax(-1)
        chosen = torch.where(known, image, drawn + first_code)
        share = probabilities.gather(-1, drawn[..., None])[..., 0]
        temperature *= 1 - (step + 1) / drawing.steps
        sure = share.masked_fill(known, torch.finfo(share.dtype).max).clamp_min(TINY).log()
        confidence = preference(drawing.order, sure, gumbel(even), temperature, ranks.expand_as(sure))
        if drawing.order != "confidence":
            confidence = confidence.masked_fill(known, torch.inf)
        left = torch.full((rows, 1), left_masked(step, drawing.steps, tokens), device=image.device)
        left = left.minimum((~known).sum(1, keepdim=True) - 1).clamp_min(1)
        masked = confidence < confidence.sort(1).values.gather(1, left.clamp_max(tokens - 1))
        yield Step(image, chosen, confidence, masked)
        image = chosen.masked_fill(masked, mask)


def _kept(logits: Tensor, shares: Tensor, drawing: Drawing) -> Tensor:
    """What tokens are drawn from: their shares, or those that top-k and top-p leave. Both are (B, N, codes)."""
    if not drawing.top_k and drawing.top_p == 1:
        return shares
    from hermes.harness.models.seeded_draws import probabilities

    kept = Draw(seed=0, temperature=1.0, top_k=drawing.top_k, top_p=drawing.top_p)
    return probabilities(logits, kept).to(logits.dtype)


def _noise(
    generators: Sequence[torch.Generator], rows: int, tokens: int, codes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Exponential (B, N, codes) and then uniform (B, N) noise from each generator, in the reference's order."""
    share = rows // len(generators)
    pairs = [
        (exponential(generator, share, tokens, codes), uniform(generator, share, tokens)) for generator in generators
    ]
    return torch.cat([race for race, _ in pairs]).to(device), torch.cat([even for _, even in pairs]).to(device)
