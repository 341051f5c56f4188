"""The detector's input: the test pipeline of mmdet 2.x, step by step, for one RGB image.

The steps are those of ``mask2former_r50_lsj_8x2_50e_coco.py`` (mmdet 2.28), which the Swin-S configuration inherits:
keep the aspect, fit into (1333, 800), also upwards; OpenCV's bilinear resize on uint8; pad right and bottom to
multiples of 32 with 128 in every channel; then subtract the mean and divide by the standard deviation. mmdet 3.x
resizes in float32 and pads with 0 after normalising, which differs where an image is not square.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hermes.harness.system.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

SCALE = (1333, 800)
MULTIPLE = 32
PADDING = 128
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Prepared:
    """``pixels`` (H, W, 3) uint8 RGB, resized and padded; ``original`` and ``resized`` are (height, width)."""

    pixels: NDArray[np.uint8]
    original: tuple[int, int]
    resized: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


def prepare(image: Image.Image, scale: tuple[int, int] = SCALE) -> Prepared:
    """Resize and pad one image so that its long and short side fit into ``scale`` (long, short), in pixels.

    Raises ImageError for an image so narrow that nothing of it is left.
    """
    import cv2

    array = np.asarray(image.convert("RGB"))
    height, width = array.shape[:2]
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    resized = int(height * factor + 0.5), int(width * factor + 0.5)
    if 0 in resized:
        raise ImageError(f"an image of {width} x {height} px is too narrow for the detector; remove it")
    small = cv2.resize(array, resized[::-1], interpolation=cv2.INTER_LINEAR)
    padded = [-(-side // MULTIPLE) * MULTIPLE for side in resized]
    pixels = np.full((*padded, 3), PADDING, dtype=np.uint8)
    pixels[: resized[0], : resized[1]] = small
    return Prepared(pixels, (height, width), resized)


def normalised(batch: Sequence[Prepared]) -> "Tensor":
    """Images of one padded size as the model's input (N, 3, H, W), float32."""
    import torch

    pixels = torch.from_numpy(np.stack([item.pixels for item in batch])).float()
    return ((pixels - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()
