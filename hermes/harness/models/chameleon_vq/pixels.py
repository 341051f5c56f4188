"""Pictures to the pixels that Chameleon's VQGAN was trained on, and back.

Source: facebookresearch/chameleon e3b711e, chameleon/inference/image_tokenizer.py. transformers' image processor is
another: it multiplies by 0.0078, not by 2/255, and rounds the longer side down, so its codes differ.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pixels_of(picture: Image.Image, side: int) -> Tensor:
    """(3, side, side) in [-1, 1], float32: the shorter side becomes ``side``, and the middle is cut out."""
    opaque = on_white(picture)
    scale = side / min(opaque.size)
    width, height = (round(length * scale) for length in opaque.size)
    scaled = opaque.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (width - side) // 2, (height - side) // 2
    values = np.asarray(scaled.crop((left, top, left + side, top + side))) / 255.0 * 2 - 1
    return torch.from_numpy(values).permute(2, 0, 1).float()


def on_white(picture: Image.Image) -> Image.Image:
    """RGB, with what is transparent laid on white, in floats that are cut off and not rounded."""
    if picture.mode == "RGB":
        return picture
    values = np.asarray(picture.convert("RGBA"))
    alpha = values[..., 3:] / 255.0
    if (values[..., 3] == 255).all():
        return Image.fromarray(values[..., :3].copy())
    return Image.fromarray(((1 - alpha) * 255 + alpha * values[..., :3]).astype(np.uint8))


def picture_of(pixels: Tensor) -> Image.Image:
    """The picture of (3, H, W) pixels; values are cut off and not rounded, as in the authors' code."""
    levels = (pixels.detach().float().clamp(-1, 1) + 1) / 2 * 255
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy().astype(np.uint8))
