"""Text to image tokens: MaskGIT decoding (Chang et al., CVPR 2022) with guidance and a cached prompt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.orders import halton_ranks, preference
from hermes.harness.models.tiny.packing import MASK, collate, generation_prefix
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE
from hermes.harness.models.tiny.transformer import Cache, Transformer
from hermes.harness.records.types import Order


@dataclass(frozen=True)
class Drawing:
    """How images are drawn: ``temperature`` is that of the codes, ``choice_temperature`` scales the order's noise."""

    steps: int
    temperature: float
    guidance: float
    order: Order
    choice_temperature: float


def still_masked(step: int, steps: int) -> int:
    """How many of the cells stay masked after a step (counted from 0): the cosine schedule, at least one a step."""
    planned = math.floor(IMAGE_TOKENS * math.cos(math.pi / 2 * (step + 1) / steps) + 1e-9)
    return max(0, min(planned, IMAGE_TOKENS - step - 1)) if step + 1 < steps else 0


def pick(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-CDF sampling: (..., V) probabilities and (...) uniforms in 0..1 to (...) indices."""
    total = probabilities.cumsum(-1)
    drawn = torch.searchsorted(total, (uniform[..., None] * total[..., -1:]).contiguous())
    return drawn.squeeze(-1).clamp_max(probabilities.shape[-1] - 1)


def _noise(seeds: Sequence[int], steps: int) -> Tensor:
    """(B, steps, 2, 36) uniforms, each row from its own seed."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(steps, 2, IMAGE_TOKENS, generator=generator))
    return torch.stack(rows)


class _Canvas:
    """The image cells of B rows behind their cached prompts; what rows with one prompt share is computed once.

    ``blank`` (B, 36, width): the hidden states of the image of which nothing is known yet.
    """

    def __init__(self, model: Transformer, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        self.model = model
        distinct = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
        which = torch.tensor([distinct.index(tuple(prompt)) for prompt in prompts], device=device)
        prefix = collate([generation_prefix(prompt) for prompt in distinct]).to(device)
        self.past: Cache = model(prefix.tokens, prefix.place, prefix.cell, prefix.mask)[1]
        lengths = torch.tensor([len(prompt) + 2 for prompt in distinct], device=device)
        known = torch.arange(prefix.tokens.shape[1], device=device) < lengths[:, None]
        self.seen = torch.cat([known, known.new_ones(len(distinct), IMAGE_TOKENS)], 1)
        cells = torch.arange(IMAGE_TOKENS, device=device)
        self.cell, self.place = cells + 1, torch.stack([cells // SIDE, cells % SIDE], -1)
        self.blank = self.hidden(torch.full((len(distinct), IMAGE_TOKENS), MASK, device=device))[which]
        self.past, self.seen = [(key[which], value[which]) for key, value in self.past], self.seen[which]

    def hidden(self, tokens: Tensor) -> Tensor:
        """(B, 36) token ids to hidden states (B, 36, width)."""
        rows = len(tokens)
        mask = self.seen[:, None].expand(-1, IMAGE_TOKENS, -1)
        place, cell = self.place.expand(rows, -1, -1), self.cell.expand(rows, -1)
        states: Tensor = self.model(tokens, place, cell, mask, self.past)[0]
        return states


@torch.inference_mode()
def draw_codes(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    drawing: Drawing,
) -> Tensor:
    """Codes (B, 36) of one image for each prompt.

    Every step samples all masked cells and keeps the first in order: by log p + choice temperature (1 - t) Gumbel noise
    where it is by confidence. Guidance g mixes the logits, (1 + g) conditional - g unconditional. Temperature 0 takes
    the likeliest code.
    """
    steps, temperature, guidance = drawing.steps, drawing.temperature, drawing.guidance
    device = model.head.weight.device
    rows = len(prompts)
    guided = guidance > 0
    canvas = _Canvas(model, [*prompts, *([[]] * rows if guided else [])], device)
    noise, ranks = _noise(seeds, steps).to(device), halton_ranks(SIDE).to(device)
    tokens = torch.full((rows, IMAGE_TOKENS), MASK, device=device)
    for step in range(steps):
        masked = tokens == MASK
        cells = masked.nonzero()[:, 1].view(rows, -1)
        hidden = canvas.hidden(tokens.repeat(2, 1) if guided else tokens) if step else canvas.blank
        wanted = cells.repeat(2, 1) if guided else cells
        logits = model.image_logits(hidden.gather(1, wanted[..., None].expand(-1, -1, hidden.shape[-1])))
        if guided:
            logits = (1 + guidance) * logits[:rows] - guidance * logits[rows:]
        log_probs = torch.log_softmax(logits / temperature if temperature > 0 else logits, -1)
        uniform, choice = noise[:, step].gather(2, cells[:, None].expand(-1, 2, -1)).unbind(1)
        codes = pick(log_probs.exp(), uniform) if temperature > 0 else log_probs.argmax(-1)
        gumbel = -torch.log(-torch.log(choice.clamp(1e-9, 1 - 1e-7)))
        sure = log_probs.gather(-1, codes[..., None]).squeeze(-1)
        scale = drawing.choice_temperature * (1 - (step + 1) / steps)
        kept = preference(drawing.order, sure, gumbel, scale, ranks[cells])
        left = still_masked(step, steps)
        drawn = codes + model.shape.text
        if left:
            drawn = drawn.scatter(1, kept.topk(left, largest=False).indices, MASK)
        tokens = tokens.scatter(1, cells, drawn)
    return tokens - model.shape.text
