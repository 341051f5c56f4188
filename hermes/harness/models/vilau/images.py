"""Pictures to the tower's pixels, and its output to pictures.

Source: mit-han-lab/vila-u, commit 096623c.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def seen(picture: Image.Image, side: int) -> Tensor:
    """Pixels (3, side, side) in -1..1 of a picture that is read: resized whole, whatever its shape."""
    # In its own mode, as the authors do; the harness gives RGB.
    return _scaled(picture.resize((side, side), Image.Resampling.BICUBIC).convert("RGB"))


def learnt(picture: Image.Image, side: int) -> Tensor:
    """Pixels (3, side, side) in -1..1 of a picture that is to be drawn: a square of it, as the training cuts it.

    Of a wide picture that is the middle, as torchvision's CenterCrop finds it (half to even), of a tall one the top.
    """
    width, height = picture.size
    short = min(width, height)
    left = round((width - short) / 2)
    square = picture.convert("RGB").crop((left, 0, left + short, short))
    return _scaled(square.resize((side, side), Image.Resampling.BICUBIC))


def picture_of(pixels: Tensor) -> Image.Image:
    """A picture from pixels (3, R, R), about -1..1; levels are cut off, not rounded, as in the authors' scripts."""
    levels = ((pixels.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def _scaled(picture: Image.Image) -> Tensor:
    levels = np.asarray(picture, dtype=np.float32)
    return torch.from_numpy(levels).permute(2, 0, 1) / 255 * 2 - 1
