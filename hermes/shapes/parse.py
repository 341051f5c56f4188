"""Picture -> objects: each blob is fitted with every shape by least squares; what fits none is left unread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hermes.shapes.draw import PALETTE
from hermes.shapes.fit import WINDOW, Fits, fit
from hermes.shapes.scene import (
    CANVAS,
    CELL,
    COLORS,
    GRID,
    RADIUS,
    SHAPES,
    Obj,
)
from hermes.shapes.segment import SPECK, Blob, Floats, segment

LEAST_OVERLAP = 0.74
MOST_HIDDEN = 0.2
MOST_COLOR_ERROR = 70.0
RADIUS_RANGE = (3.2, 8.4)
SIZE_LIMIT = (RADIUS["small"][1] + RADIUS["large"][0]) / 2
_WIDEST = 19
_FAINT = 0.12
_CHUNK = 16
_PALETTE = np.asarray([PALETTE[color] for color in COLORS], dtype=np.float32)


@dataclass(frozen=True)
class Parsed:
    """What is in a picture: the objects in reading order of their cells, and for every other patch why it is not one.

    ``readable`` is False where no plain grey background was found; such a picture has no objects.
    """

    objects: tuple[Obj, ...]
    unread: tuple[str, ...] = ()
    readable: bool = True


@dataclass(frozen=True)
class _Patch:
    """A blob in its own window.

    ``alpha`` how much of each pixel it covers, ``weight`` 0 where something else is in front or the picture ends,
    ``left`` and ``top`` the window's corner, ``color`` the blob's median RGB.
    """

    index: int
    left: int
    top: int
    alpha: Floats
    weight: Floats
    color: Floats


def parse(image: Image.Image) -> Parsed:
    """The objects of one picture; a picture of another size is brought to CANVAS first."""
    return parse_many([image])[0]


def parse_many(images: Sequence[Image.Image]) -> list[Parsed]:
    """``parse`` for many pictures. Companions change an object's position by rounding errors at most."""
    parsed: list[Parsed] = []
    for start in range(0, len(images), _CHUNK):
        parsed += _parse_chunk(np.stack([_pixels(image) for image in images[start : start + _CHUNK]]))
    return parsed


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    image = image.convert("RGB")
    if image.size != (CANVAS, CANVAS):
        image = image.resize((CANVAS, CANVAS), Image.Resampling.BOX)
    return np.asarray(image)


def _parse_chunk(pictures: NDArray[np.uint8]) -> list[Parsed]:
    segmented = segment(pictures)
    margin = ((0, 0), (WINDOW, WINDOW), (WINDOW, WINDOW))
    offset = np.pad(segmented.offset, (*margin, (0, 0)))
    blocked = np.pad(segmented.foreground, margin, constant_values=True)
    patches = [_patch(piece, pictures, offset, blocked) for blob in segmented.blobs for piece in _pieces(blob)]
    objects: list[list[Obj]] = [[] for _ in pictures]
    unread: list[list[str]] = [[] if plain else ["no plain background"] for plain in segmented.plain]
    for patch, found in zip(patches, _read(patches), strict=True):
        if isinstance(found, Obj):
            objects[patch.index].append(found)
        else:
            unread[patch.index].append(found)
    return [
        Parsed(tuple(sorted(seen, key=lambda obj: (obj.cell, obj.x))), tuple(reasons), bool(plain))
        for seen, reasons, plain in zip(objects, unread, segmented.plain, strict=True)
    ]


def _pieces(blob: Blob) -> list[Blob]:
    """A blob wider than any object is two touching objects of one color: cut it along the cells."""
    if max(np.ptp(blob.rows), np.ptp(blob.columns)) < _WIDEST:
        return [blob]
    cells = blob.rows // CELL * GRID + blob.columns // CELL
    pieces = [
        replace(blob, rows=blob.rows[cells == cell], columns=blob.columns[cells == cell]) for cell in np.unique(cells)
    ]
    return [piece for piece in pieces if len(piece.rows) >= SPECK]


def _patch(blob: Blob, pictures: NDArray[np.uint8], offset: Floats, blocked: NDArray[np.bool_]) -> _Patch:
    """``offset`` and ``blocked`` (True: foreground or beyond the border) are padded by WINDOW on each side."""
    top = int(np.rint(blob.rows.mean())) - WINDOW // 2
    left = int(np.rint(blob.columns.mean())) - WINDOW // 2
    window = (slice(top + WINDOW, top + 2 * WINDOW), slice(left + WINDOW, left + 2 * WINDOW))
    own = offset[blob.index, blob.rows + WINDOW, blob.columns + WINDOW]
    core = np.argsort(np.square(own).sum(axis=-1))[int(0.6 * len(own)) :]
    toward = _median(own[core])
    alpha = np.clip(offset[blob.index][window] @ (toward / (toward @ toward)), 0.0, 1.0)
    alpha[alpha < _FAINT] = 0.0
    free = ~blocked[blob.index]
    free[blob.rows + WINDOW, blob.columns + WINDOW] = True
    weight = free[window].astype(np.float32)
    color = _median(pictures[blob.index, blob.rows[core], blob.columns[core]].astype(np.float32))
    return _Patch(blob.index, left, top, alpha * weight, weight, color)


def _median(colors: Floats) -> Floats:
    middle: Floats = np.sort(colors, axis=0)[len(colors) // 2]
    return middle


def _read(patches: Sequence[_Patch]) -> list[Obj | str]:
    """Each patch as an object, or the reason why it is not one."""
    if not patches:
        return []
    fits = fit(np.stack([patch.alpha for patch in patches]), np.stack([patch.weight for patch in patches]))
    return [_object(patch, fits, k) for k, patch in enumerate(patches)]


def _object(patch: _Patch, fits: Fits, k: int) -> Obj | str:
    x, y, radius, tilt = (round(float(value), 3) for value in fits.where[k])
    x, y = x + patch.left, y + patch.top
    at = f"at ({x:.0f}, {y:.0f})"
    distance = np.linalg.norm(_PALETTE - patch.color, axis=1)
    if fits.overlap[k] < LEAST_OVERLAP:
        return f"no shape fits {at}"
    if fits.hidden[k] > MOST_HIDDEN:
        return f"hidden {at}"
    if not RADIUS_RANGE[0] <= radius <= RADIUS_RANGE[1]:
        return f"too {'small' if radius < RADIUS_RANGE[0] else 'large'} {at}"
    if distance.min() > MOST_COLOR_ERROR:
        return f"no color of the palette {at}"
    row, column = (min(max(int(value // CELL), 0), GRID - 1) for value in (y, x))
    size = "small" if radius < SIZE_LIMIT else "large"
    shape, color = SHAPES[int(fits.shape[k])], COLORS[int(distance.argmin())]
    return Obj(shape, color, size, row * GRID + column, x, y, radius, tilt)
