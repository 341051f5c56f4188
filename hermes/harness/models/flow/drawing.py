"""Text to latents: Euler steps along the velocity, with guidance and a cached prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.flow.latents import CHANNELS
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.tiny.packing import PAD, collate, generation_prefix
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE
from hermes.harness.models.tiny.transformer import Cache


@dataclass(frozen=True)
class Drawing:
    """How images are drawn: the number of Euler steps from t = 1 to 0, and guidance, 0 for none."""

    steps: int
    guidance: float


class _Canvas:
    """The image cells of B rows behind their prompts, each distinct one of which is computed once."""

    def __init__(self, model: FlowTransformer, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        self.model = model
        distinct = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
        which = torch.tensor([distinct.index(tuple(prompt)) for prompt in prompts], device=device)
        prefix = collate([generation_prefix(prompt) for prompt in distinct]).to(device)
        past = model.text(prefix.tokens, prefix.place, prefix.mask)[1]
        lengths = torch.tensor([len(prompt) + 2 for prompt in distinct], device=device)
        known = torch.arange(prefix.tokens.shape[1], device=device) < lengths[:, None]
        seen = torch.cat([known, known.new_ones(len(distinct), IMAGE_TOKENS)], 1)[which]
        self.past: Cache = [(key[which], value[which]) for key, value in past]
        self.mask = seen[:, None].expand(-1, IMAGE_TOKENS, -1)
        cells = torch.arange(IMAGE_TOKENS, device=device)
        rows = len(prompts)
        self.cell = (cells + 1).expand(rows, -1)
        self.place = torch.stack([cells // SIDE, cells % SIDE], -1).expand(rows, -1, -1)
        self.tokens = torch.full((rows, IMAGE_TOKENS), PAD, device=device)

    def velocity(self, latents: Tensor, time: float) -> Tensor:
        """(B, 36, 8) latents at one time to their velocities."""
        times = torch.full(self.tokens.shape, time, device=latents.device)
        hidden = self.model(self.tokens, self.place, self.cell, self.mask, latents, times, self.past)[0]
        return self.model.velocity(hidden)


def first_noise(seeds: Sequence[int]) -> Tensor:
    """(B, 36, 8) standard normal, each row from its own seed, on the CPU."""
    shape = (IMAGE_TOKENS, CHANNELS)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.inference_mode()
def draw_latents(
    model: FlowTransformer, prompts: Sequence[Sequence[int]], seeds: Sequence[int], drawing: Drawing
) -> Tensor:
    """Latents (B, 36, 8) of one image for each prompt. Guidance g gives (1 + g) conditional - g unconditional."""
    device = model.head.weight.device
    rows, guidance = len(prompts), drawing.guidance
    guided = guidance > 0
    canvas = _Canvas(model, [*prompts, *([[]] * rows if guided else [])], device)
    latents = first_noise(seeds).to(device)
    for step in range(drawing.steps):
        time = 1 - step / drawing.steps
        velocity = canvas.velocity(latents.repeat(2, 1, 1) if guided else latents, time)
        if guided:
            velocity = (1 + guidance) * velocity[:rows] - guidance * velocity[rows:]
        latents = latents - velocity / drawing.steps
    return latents
