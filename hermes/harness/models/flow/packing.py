"""Rows with latents: hermes-tiny's token sequences, whose image tokens are continuous and noised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hermes.harness.models.flow.latents import CHANNELS
from hermes.harness.models.noising import flowed
from hermes.harness.models.tiny import packing
from hermes.harness.models.tiny.packing import NOTHING, Row, generation_row, understanding_row
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS

Floats = NDArray[np.float32]
_PLACEHOLDER = np.full(IMAGE_TOKENS, packing.PAD)
_SHOWN = np.zeros(IMAGE_TOKENS, bool)


@dataclass(frozen=True)
class FlowRow(Row):
    """A row with the latents of its image tokens in order: N of them, latent (N, 8), time (N,), velocity (N, 8)."""

    latent: Floats
    time: Floats
    velocity: Floats


@dataclass(frozen=True)
class FlowBatch(packing.Batch):
    """Rows padded on the right; latent and velocity (B, L, 8) and time (B, L) are 0 where there is no image token."""

    latent: Tensor
    time: Tensor
    velocity: Tensor

    @property
    def asked(self) -> Tensor:
        """(B, L): whose hidden state must tell something, a next token or a velocity."""
        return (self.target != NOTHING) | (self.time > 0)

    def to(self, device: str | torch.device) -> "FlowBatch":
        """The same batch on another device."""
        return FlowBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def seen_row(latent: Floats, dialogues: Sequence[tuple[Sequence[int], Sequence[int] | None]]) -> FlowRow:
    """As `packing.understanding_row`, of a picture (36, 8) that is looked at."""
    row = understanding_row(_PLACEHOLDER, dialogues)
    return FlowRow(**vars(row), latent=latent, time=np.zeros(IMAGE_TOKENS, np.float32), velocity=np.zeros_like(latent))


def drawn_row(prompt: Sequence[int], latent: Floats, times: Floats, noise: Floats) -> FlowRow:
    """The prompt and a noised copy of the picture (36, 8) for each of K times, noise (K, 36, 8); they do not see each
    other."""
    row = generation_row(prompt, _PLACEHOLDER, [_SHOWN] * len(times))
    noised, velocity = flowed(*(torch.from_numpy(array) for array in (latent[None], noise, times)))
    latents, velocities = (tensor.reshape(-1, CHANNELS).numpy() for tensor in (noised, velocity))
    return FlowRow(**vars(row), latent=latents, time=times.repeat(IMAGE_TOKENS), velocity=velocities)


def collate(rows: Sequence[Row]) -> FlowBatch:
    """Pad on the right and build the attention masks; rows of text alone have no latents."""
    batch = packing.collate(rows)
    latent, velocity = torch.zeros(2, *batch.tokens.shape, CHANNELS).unbind(0)
    time = torch.zeros(batch.tokens.shape)
    for index, row in enumerate(rows):
        if isinstance(row, FlowRow):
            where = torch.from_numpy((row.cell > 0).nonzero()[0])
            latent[index, where] = torch.from_numpy(row.latent)
            velocity[index, where] = torch.from_numpy(row.velocity)
            time[index, where] = torch.from_numpy(row.time)
    return FlowBatch(**vars(batch), latent=latent, time=time, velocity=velocity)
