"""Prompts to latents: Euler steps of the flow, with the keys and values of the prompts computed once.

Source: showlab/Show-o, commit 45a5a2d, show-o2. The prompt, in the language model and in the flow head, sees neither
the picture nor its time; what stands behind the picture is seen by nothing, and no token is drawn. So only the
picture's places are computed in a step, up to the language model once for the rows with a prompt and without.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.cache import give_room, rewind
from hermes.harness.models.showo2.attending import causal, on_the_right
from hermes.harness.models.showo2.network import Network

SHIFT = 3.0
"""The authors' time_shifting_factor."""


@dataclass(frozen=True)
class Step:
    """Latents (B, C, 2h, 2w) at a time, their guided velocities, and the latents at the next time."""

    time: float
    latents: Tensor
    velocity: Tensor
    after: Tensor


def grid(points: int, shift: float = SHIFT) -> Tensor:
    """``points`` times from 0, which is noise, to 1; between them lies one step less."""
    even = torch.linspace(0, 1, points)
    return even / (even + shift - shift * even)


def draw_latents(
    model: Network,
    prompts: Sequence[Sequence[int]],
    empty: Sequence[int],
    noise: Tensor,
    guidance: Sequence[float],
    points: int,
) -> Tensor:
    """The latents (B, C, 2h, 2w) of B pictures, float32; arguments as in ``draw_steps``."""
    *_, last = draw_steps(model, prompts, empty, noise, guidance, points)
    return last.after


@torch.inference_mode()
def draw_steps(
    model: Network,
    prompts: Sequence[Sequence[int]],
    empty: Sequence[int],
    noise: Tensor,
    guidance: Sequence[float],
    points: int,
) -> Iterator[Step]:
    """Every step from ``noise`` (B, C, 2h, 2w) behind each prompt's ids; ``empty`` are those that guidance leads away
    from. A row's ``guidance`` of 0 or 1 is none.
    """
    reader = Reader(model, prompts, empty, guidance, (noise.shape[-2], noise.shape[-1]))
    latents = noise.to(model.device, torch.float32)
    times = grid(points).tolist()
    for now, then in pairwise(times):
        velocity = reader.guided(reader(latents, now))
        after = latents + (then - now) * velocity
        yield Step(now, latents, velocity, after)
        latents = after


class Reader:
    """Velocities of latents of one ``size`` behind prompts, whose own states are computed once."""

    def __init__(
        self,
        model: Network,
        prompts: Sequence[Sequence[int]],
        empty: Sequence[int],
        guidance: Sequence[float],
        size: tuple[int, int],
    ) -> None:
        device = model.device
        self.model, self.size = model, size
        guided = [row for row, scale in enumerate(guidance) if scale not in (0, 1)]
        self.places = torch.tensor(guided, dtype=torch.long, device=device)
        self.scales = torch.tensor([guidance[row] for row in guided], device=device).view(-1, 1, 1, 1)
        self.every = torch.cat([torch.arange(len(prompts), device=device), self.places])
        rows = [*map(tuple, prompts), *[tuple(empty)] * len(guided)]
        distinct = list(dict.fromkeys(rows))
        which = torch.tensor([distinct.index(row) for row in rows], device=device)
        ids, real = on_the_right(distinct, empty[0], device)
        allowed, places = causal(real), (real.long().cumsum(1) - 1).clamp_min(0)
        self.words, self.head = DynamicCache(), DynamicCache()
        hidden = model.read(model.words(ids), allowed, places, self.words)
        model.flow(hidden, None, None, allowed, places, self.head)
        self.begin, tokens = ids.shape[1], size[0] * size[1] // model.patch**2 + 1
        for cache in (self.words, self.head):
            give_room(cache, which, tokens)
        self.allowed = torch.cat([real[which], real.new_ones(len(rows), tokens)], 1)[:, None, None]
        self.at = real.sum(1)[which][:, None] + torch.arange(tokens, device=device)

    def __call__(self, latents: Tensor, time: float) -> Tensor:
        """Latents (B, C, 2h, 2w) to velocities of all rows, those without a prompt last; float32."""
        model = self.model
        for cache in (self.words, self.head):
            rewind(cache, self.begin)
        # One time for all: it is embedded once.
        shown, told = model.picture(latents, torch.full((1,), time, device=latents.device))
        hidden = model.read(shown[self.every], self.allowed, self.at, self.words)
        states = model.flow(hidden, told, None, self.allowed, self.at, self.head)
        return model.velocity(states[:, 1:], told, self.size).float()

    def guided(self, rows: Tensor) -> Tensor:
        """Velocities (B, ...): v_u + scale (v_c - v_u) where a row has guidance."""
        count = len(rows) - len(self.places)
        conditional, without = rows[:count], rows[count:]
        mixed = without + self.scales * (conditional[self.places] - without)
        return conditional.index_copy(0, self.places, mixed)
