"""Pictures as the vision encoder sees them: tiles of the grid that fits best, then the whole picture.

Source: AILab-CVC/SEED-X commit 420d347, src/data/any_res.py and src/inference/eval_img2text_seed_x_i.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

Size = tuple[int, int]


@dataclass(frozen=True)
class View:
    """What is seen of one picture: ``entries`` in order are the distinct ``images`` (M, 3, S, S), uint8, by number.

    ``places``: the centre of each entry, (x, y) in 0..1; the last entry is the whole picture. In a grid of one tile
    both entries are the same image.
    """

    images: NDArray[np.uint8]
    entries: tuple[int, ...]
    places: tuple[tuple[float, float], ...]


def view(picture: Image.Image, side: int, grids: Sequence[Size]) -> View:
    """Tiles of ``side`` pixels, row by row, and the whole; ``grids`` are (columns, rows) in order of preference."""
    rgb = picture.convert("RGB")
    columns, rows = best_grid(rgb.size, side, grids)
    whole = _resized(rgb, (side, side))
    if (columns, rows) == (1, 1):
        return View(whole[None], (0, 0), ((0.5, 0.5), (0.5, 0.5)))
    tiles = _resized(rgb, (columns * side, rows * side)).reshape(3, rows, side, columns, side)
    images = tiles.transpose(1, 3, 0, 2, 4).reshape(-1, 3, side, side)
    places = [((i + 0.5) / columns, (j + 0.5) / rows) for j in range(rows) for i in range(columns)]
    return View(np.concatenate([images, whole[None]]), tuple(range(len(places) + 1)), (*places, (0.5, 0.5)))


def best_grid(size: Size, side: int, grids: Sequence[Size]) -> Size:
    """The grid (columns, rows) for a picture of this size: by area, or by shape where that grid is smaller."""
    area, shape = by_area(size, side, grids), by_shape(size, side, grids)
    return shape if shape[0] * shape[1] < area[0] * area[1] else area


def by_area(size: Size, side: int, grids: Sequence[Size]) -> Size:
    """The grid that keeps most of the picture's pixels, of those the one that wastes least."""
    width, height = size

    def rank(grid: Size) -> tuple[int, int]:
        wide, high = grid[0] * side, grid[1] * side
        scale = min(wide / width, high / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - wide * high

    return max(grids, key=rank)


def by_shape(size: Size, side: int, grids: Sequence[Size]) -> Size:
    """The grid whose shape is nearest the picture's, of those the one whose area is nearest."""
    width, height = size

    def rank(grid: Size) -> tuple[float, float]:
        wide, high = grid[0] * side, grid[1] * side
        return _ratio(high / wide, height / width), _ratio(wide * high, width * height)

    return min(grids, key=rank)


def normalised(images: Tensor) -> Tensor:
    """Pixels (M, 3, S, S), uint8, as the vision encoder takes them, float32."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def _ratio(one: float, other: float) -> float:
    return max(one, other) / min(one, other)


def _resized(picture: Image.Image, size: Size) -> NDArray[Any]:
    """(3, H, W); the picture's shape is not kept."""
    return np.array(picture.resize(size, Image.Resampling.BICUBIC)).transpose(2, 0, 1)
