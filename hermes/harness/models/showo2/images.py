"""Pictures to pixels and back.

Source: showlab/Show-o, commit 45a5a2d, show-o2. Pictures that are drawn are learnt, and those of the understanding demo
read, with the middle alone; the training's questions are about whole pictures on black.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def cropped(picture: Image.Image, side: int) -> Tensor:
    """Pixels (3, side, side) in -1..1 of the picture's middle, its shorter side resized to ``side``."""
    width, height = picture.size
    short, long = side, int(side * max(width, height) / min(width, height))
    size = (short, long) if width <= height else (long, short)
    resized = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = (round((have - side) / 2) for have in size)
    return scaled(resized.crop((left, top, left + side, top + side)))


def padded(picture: Image.Image, side: int) -> Tensor:
    """Pixels (3, side, side) in -1..1 of the whole picture, its longer side resized to ``side``, centred on black."""
    # The quotient comes first, as in the authors' code: rounding may add a row, as for 26 x 13 pixels at 432.
    scale = side / max(picture.size)
    size = (min(math.ceil(picture.width * scale), side), min(math.ceil(picture.height * scale), side))
    resized = picture.convert("RGB").resize(size)
    canvas = Image.new("RGB", (side, side))
    canvas.paste(resized, ((side - size[0]) // 2, (side - size[1]) // 2))
    return scaled(canvas)


def scaled(picture: Image.Image) -> Tensor:
    """Pixels (3, H, W) in -1..1."""
    levels = np.asarray(picture, dtype=np.float32)
    return (torch.from_numpy(levels).permute(2, 0, 1) / 255 - 0.5) / 0.5


def picture_of(pixels: Tensor) -> Image.Image:
    """A picture from pixels (3, H, W), about -1..1; levels are cut off, not rounded, as in the authors' scripts."""
    levels = ((pixels.float().clamp(-1, 1) + 1) / 2 * 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
