"""Prompt to image tokens: parallel decoding of masked tokens with guidance, the most confident first (MaskGIT).

Source: Show-o commit 45a5a2d, models/modeling_showo.py (t2i_generate) and models/sampling.py. As there, the confidence
noise shrinks by (1 - r) at every step cumulatively, and the number left masked is computed in float32.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.orders import halton_ranks, preference
from hermes.harness.models.showo.attention import generation_mask
from hermes.harness.models.showo.phi import Phi, with_room
from hermes.harness.models.showo.prompting import Layout
from hermes.harness.models.showo.text import exponential
from hermes.harness.records.types import Order

TINY = 1e-20


@dataclass(frozen=True)
class Drawing:
    """``guidance`` 0 needs no unconditional rows; ``temperature`` 0 takes the best token, without confidence noise.

    ``order`` and ``choice_temperature``, the scale of the order's noise, are the reference's as they stand here: there
    ``temperature`` is that scale. Every other order is ours.
    """

    steps: int = 50
    guidance: float = 5.0
    temperature: float = 1.0
    order: Order = "confidence"
    choice_temperature: float | None = None


@dataclass(frozen=True)
class Step:
    """One step over B images of N tokens: token ids before it, those chosen, their confidence, and who stays masked."""

    before: Tensor
    chosen: Tensor
    confidence: Tensor
    masked: Tensor


def left_masked(step: int, steps: int, tokens: int) -> int:
    """How many of all tokens the cosine law leaves masked after step number ``step`` (from 0), before its bounds."""
    share = torch.cos(torch.tensor((step + 1) / steps) * math.pi * 0.5)
    return int((tokens * share).floor())


def empty_image(layout: Layout, count: int, tokens: int, device: torch.device) -> Tensor:
    """(count, tokens) of the mask token."""
    return torch.full((count, tokens), layout.vocabulary.mask, device=device)


def draw_image(
    model: Phi,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    image: Tensor,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Tensor:
    """The image token ids (B, N) after the last step; arguments as in ``draw_steps``."""
    *_, last = draw_steps(model, layout, texts, image, generators, drawing)
    return last.chosen


@torch.inference_mode()
def draw_steps(
    model: Phi,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    image: Tensor,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Iterator[Step]:
    """Every step of drawing ``image`` (B, N) token ids, where the mask token stands for what is to be drawn.

    texts: B prompts' ids. generators: on the CPU, each for an equal share of the rows in order; with one for each row,
    a row's draws are those of the row alone.
    """
    vocabulary = layout.vocabulary
    rows, tokens = image.shape
    read = _Reader(model, layout, texts, tokens, drawing.guidance)
    temperature = drawing.temperature if drawing.choice_temperature is None else drawing.choice_temperature
    ranks = halton_ranks(math.isqrt(tokens)).to(image.device)
    for step in range(drawing.steps):
        probabilities = read(image).softmax(-1)
        known = image != vocabulary.mask
        race, uniform = _noise(generators, rows, tokens, vocabulary.codes, image.device)
        drawn = (probabilities / race if drawing.temperature > 0 else probabilities).argmax(-1)
        chosen = torch.where(known, image, drawn + vocabulary.first_code)
        share = probabilities.gather(-1, drawn[..., None])[..., 0]
        temperature *= 1 - (step + 1) / drawing.steps
        sure = share.masked_fill(known, torch.finfo(share.dtype).max).clamp_min(TINY).log()
        confidence = preference(drawing.order, sure, gumbel(uniform), temperature, ranks.expand_as(sure))
        if drawing.order != "confidence":
            confidence = confidence.masked_fill(known, torch.inf)
        left = torch.full((rows, 1), left_masked(step, drawing.steps, tokens), device=image.device)
        left = left.minimum((~known).sum(1, keepdim=True) - 1).clamp_min(1)
        masked = confidence < confidence.sort(1).values.gather(1, left.clamp_max(tokens - 1))
        yield Step(image, chosen, confidence, masked)
        image = chosen.masked_fill(masked, vocabulary.mask)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise from uniform numbers in [0, 1); both logarithms are bounded below."""
    return -(-uniform.clamp_min(TINY).log()).clamp_min(TINY).log()


class _Reader:
    """Guided logits over the codes; the text parts are computed once, as none of their tokens sees the image."""

    def __init__(
        self, model: Phi, layout: Layout, texts: Sequence[Sequence[int]], tokens: int, guidance: float
    ) -> None:
        device = model.lm_head.weight.device
        self.model, self.layout, self.guidance = model, layout, guidance
        wanted = [*texts, *([[]] * len(texts) if guidance > 0 else [])]
        ids = torch.tensor([layout.generation(text, [layout.vocabulary.mask] * tokens) for text in wanted])
        ids = ids.to(device)
        begin = layout.image_begin
        allowed = generation_mask(ids, layout.vocabulary)
        past = model.remember(ids[:, :begin], allowed[:, :begin, :begin])
        self.past = with_room(past, torch.arange(len(ids), device=device), ids.shape[1])
        self.ids, self.allowed = ids[:, begin:].clone(), allowed[:, begin:]

    def __call__(self, image: Tensor) -> Tensor:
        """(B, N) token ids to (B, N, codes)."""
        vocabulary = self.layout.vocabulary
        self.ids[:, 1:-1] = image.repeat(len(self.ids) // len(image), 1)
        hidden, _ = self.model(self.ids, self.allowed, self.past)
        logits = self.model.logits(hidden[:, 1:-1], vocabulary.first_code, vocabulary.mask)
        if not self.guidance > 0:
            return logits
        conditional, unconditional = logits.chunk(2)
        return (1 + self.guidance) * conditional - self.guidance * unconditional


def _noise(
    generators: Sequence[torch.Generator], rows: int, tokens: int, codes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Exponential (B, N, codes) and then uniform (B, N) noise from each generator, in the reference's order."""
    share = rows // len(generators)
    pairs = [
        (exponential(generator, share, tokens, codes), torch.rand(share, tokens, generator=generator))
        for generator in generators
    ]
    return torch.cat([race for race, _ in pairs]).to(device), torch.cat([uniform for _, uniform in pairs]).to(device)
