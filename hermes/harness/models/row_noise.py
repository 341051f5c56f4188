"""Noise for the rows of a batch: each row's from its own seed, so that neither companions nor processes change it.

It is made on the device where there is CUDA, as a picture's takes a gigabyte and seconds on the CPU (Show-o at 512
pixels: 50 steps of 1,024 tokens and 8,192 codes). CUDA draws other numbers than the CPU, so `ModelInfo.noise` tells.
"""

import torch
from torch import Tensor


def row_generator(seed: int, device: torch.device | str) -> torch.Generator:
    """The generator of a row with this seed, for a model on this device."""
    return torch.Generator(noise_of(device) or "cpu").manual_seed(seed)


def noise_of(device: torch.device | str) -> str:
    """Where rows' noise comes from: "cuda", or "" for the CPU, which makes it for all other devices."""
    return "cuda" if torch.device(device).type == "cuda" else ""


def exponential(generator: torch.Generator, *shape: int) -> Tensor:
    """Exponential noise; ``argmax(p / noise)`` is a draw from p, the very one that torch.multinomial makes."""
    return torch.empty(shape, device=generator.device).exponential_(1, generator=generator)


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers in [0, 1)."""
    return torch.rand(shape, generator=generator, device=generator.device)
