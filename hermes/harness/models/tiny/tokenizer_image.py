"""The image tokeniser: 48 x 48 pixels to 6 x 6 tokens and back, a small convolutional autoencoder with FSQ codes."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

LEVELS = (7, 5, 5, 5)
CODES = 875
PIXELS = 48
SIDE = 6
IMAGE_TOKENS = SIDE * SIDE
FINE, COARSE = 64, 128


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al., ICLR 2024): each channel is bounded and rounded to its levels."""

    reach: Tensor
    base: Tensor

    def __init__(self) -> None:
        super().__init__()
        half = [(level - 1) // 2 for level in LEVELS]
        base = [1, LEVELS[0], LEVELS[0] * LEVELS[1], LEVELS[0] * LEVELS[1] * LEVELS[2]]
        self.register_buffer("reach", torch.tensor(half), persistent=False)
        self.register_buffer("base", torch.tensor(base), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """(..., 4) raw to (..., 4) in -1..1, rounded with a straight-through gradient."""
        bounded = torch.tanh(z) * self.reach
        return (bounded + (bounded.round() - bounded).detach()) / self.reach

    def index(self, z: Tensor) -> Tensor:
        """(..., 4) raw to codes (...)."""
        digits = (torch.tanh(z) * self.reach).round().long() + self.reach
        return (digits * self.base).sum(-1)

    def point(self, codes: Tensor) -> Tensor:
        """Codes (...) to the quantised points (..., 4) in -1..1."""
        levels = 2 * self.reach + 1
        digits = codes[..., None] // self.base % levels
        return (digits - self.reach) / self.reach


class Residual(nn.Module):
    """x + conv(silu(conv(silu(norm(x)))))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.enter = nn.Conv2d(width, hidden, 3, padding=1)
        self.leave = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.leave(F.silu(self.enter(F.silu(self.norm(x)))))
        return mixed


def encoder_of(channels: int) -> nn.Sequential:
    """Images (B, 3, 48, 48) in -1..1 to (B, channels, 6, 6)."""
    return nn.Sequential(
        nn.PixelUnshuffle(4),
        nn.Conv2d(48, FINE, 3, padding=1),
        Residual(FINE, FINE),
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * FINE, COARSE, 1),
        Residual(COARSE, COARSE),
        nn.GroupNorm(8, COARSE),
        nn.SiLU(),
        nn.Conv2d(COARSE, channels, 1),
    )


def decoder_of(channels: int) -> nn.Sequential:
    """(B, channels, 6, 6) to images (B, 3, 48, 48) in -1..1, not clipped."""
    return nn.Sequential(
        nn.Conv2d(channels, COARSE, 3, padding=1),
        Residual(COARSE, COARSE),
        nn.Conv2d(COARSE, 4 * FINE, 1),
        nn.PixelShuffle(2),
        Residual(FINE, FINE),
        Residual(FINE, FINE),
        nn.SiLU(),
        nn.Conv2d(FINE, 48, 3, padding=1),
        nn.PixelShuffle(4),
    )


class ImageTokenizer(nn.Module):
    """Encoder, quantiser and decoder. Images are (B, 3, 48, 48) in 0..1; codes are (B, 36), row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.quantise = FSQ()
        self.encoder = encoder_of(len(LEVELS))
        self.decoder = decoder_of(len(LEVELS))

    def raw(self, images: Tensor) -> Tensor:
        """Images to what is quantised, (B, 6, 6, 4)."""
        z: Tensor = self.encoder(images * 2 - 1)
        return z.permute(0, 2, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The reconstruction (B, 3, 48, 48), differentiable through the quantiser and not clipped to 0..1."""
        return self.render(self.quantise(self.raw(images)))

    def render(self, points: Tensor) -> Tensor:
        """Quantised points (B, 6, 6, 4) to images (B, 3, 48, 48), not clipped."""
        decoded: Tensor = self.decoder(points.permute(0, 3, 1, 2))
        return (decoded + 1) / 2

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images to codes (B, 36)."""
        codes: Tensor = self.quantise.index(self.raw(images))
        return codes.flatten(1)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 36) to images (B, 3, 48, 48) in 0..1."""
        points: Tensor = self.quantise.point(codes.view(-1, SIDE, SIDE))
        return self.render(points).clamp(0, 1)


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in 0..1."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 255


def to_picture(pixels: Tensor) -> Image.Image:
    """(3, H, W) in 0..1 to a PIL image."""
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).cpu().numpy())
