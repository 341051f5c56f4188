"""Pictures to what the image tokeniser takes, and its pixels back to pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hermes.harness.models.pictures import centre_square


def pixels_of(images: Sequence[Image.Image], resolution: int) -> Tensor:
    """(B, 3, R, R) float32 in -1..1: the shorter side made R by PIL's bicubic filter, the centre cut out.

    As torchvision's Resize, CenterCrop, ToTensor and Normalize(0.5, 0.5) do it in Show-o's inference scripts
    (showlab/Show-o at 45a5a2d, training/utils.py).
    """
    if not images:
        return torch.empty(0, 3, resolution, resolution)
    return _scaled([centre_square(image, resolution) for image in images])


def squashed_pixels_of(image: Image.Image, resolution: int) -> Tensor:
    """(1, 3, R, R) float32 in -1..1: the whole picture, both sides made R, whatever its shape."""
    return _scaled([image.convert("RGB").resize((resolution, resolution), Image.Resampling.BICUBIC)])


def _scaled(squares: Sequence[Image.Image]) -> Tensor:
    stacked = torch.from_numpy(np.stack([np.asarray(square) for square in squares]))
    return (stacked.permute(0, 3, 1, 2).to(torch.float32) / 255 - 0.5) / 0.5


def pictures_of(pixels: Tensor) -> list[Image.Image]:
    """(B, 3, H, W), about -1..1, to pictures: clipped, and rounded down to 8 bits as Show-o's scripts do."""
    scaled = ((pixels.detach().float() + 1) / 2).clamp(0, 1) * 255
    return [Image.fromarray(row) for row in scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()]
