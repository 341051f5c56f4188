"""Pictures as both encoders of BAGEL take them: sizes, pixels in -1..1, patches and their places.

Source: ByteDance-Seed/Bagel commit 056b5fd, data/transforms.py and data/data_utils.py.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hermes.harness.models.bagel.config import Rule


def fitted(size: tuple[int, int], rule: Rule, together: int = 1) -> tuple[int, int]:
    """Width and height that a picture of ``size`` is made, as one of ``together`` pictures that share the pixels.

    Too many pixels shrink both sides by the ratio of the areas, not by its root, as in the authors' code.
    """
    scale = max(min(rule.longest / max(size), 1.0), rule.shortest / min(size))
    width, height = _scaled(size, scale, rule.stride)
    if width * height > (most := rule.pixels / together):
        width, height = _scaled((width, height), most / (width * height), rule.stride)
    if max(width, height) > rule.longest:
        width, height = _scaled((width, height), rule.longest / max(width, height), rule.stride)
    return width, height


def resized(picture: Image.Image, rule: Rule) -> Image.Image:
    """The RGB picture in the size that the rule gives it."""
    size = fitted(picture.size, rule)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


def levels_of(picture: Image.Image) -> NDArray[np.uint8]:
    """(height, width, 3) in 0..255."""
    return np.asarray(picture, dtype=np.uint8)


def pixels_of(levels: NDArray[np.uint8]) -> Tensor:
    """(3, height, width) in -1..1, float32."""
    return (torch.from_numpy(levels.copy()).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


def patches_of(pixels: Tensor, patch: int) -> Tensor:
    """(3, H, W) to (H W / patch^2, 3 patch^2): row after row, each patch by row, column and colour."""
    channels, height, width = pixels.shape
    cut = pixels.reshape(channels, height // patch, patch, width // patch, patch)
    return cut.permute(1, 3, 2, 4, 0).reshape(-1, patch * patch * channels)


def tokens_of(latents: Tensor, patch: int) -> Tensor:
    """Latents (z, h, w) to tokens (h w / patch^2, patch^2 z): row after row, each by row, column and channel."""
    return patches_of(latents, patch)


def latents_of(tokens: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """Tokens of a ``grid`` of rows and columns to latents (z, h, w)."""
    rows, columns = grid
    cut = tokens.reshape(rows, columns, patch, patch, -1)
    return cut.permute(4, 0, 2, 1, 3).reshape(-1, rows * patch, columns * patch)


def places_of(grid: tuple[int, int], side: int) -> Tensor:
    """Where a picture's tokens (rows x columns) stand in a table of ``side`` x ``side``: in its upper left corner."""
    rows, columns = grid
    return (torch.arange(rows)[:, None] * side + torch.arange(columns)).flatten()


def picture_of(pixels: Tensor) -> Image.Image:
    """(3, H, W) in -1..1 to 8 bits, cut off below."""
    levels = (pixels.float() * 0.5 + 0.5).clamp(0, 1) * 255
    return Image.fromarray(levels.to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def _scaled(size: tuple[int, int], scale: float, stride: int) -> tuple[int, int]:
    width, height = (max(round(round(side * scale) / stride) * stride, stride) for side in size)
    return width, height
