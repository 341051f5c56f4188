"""Picture -> one-colored blobs: background fit, color labels, connected components, for many pictures at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hermes.shapes.draw import BACKGROUND, PALETTE
from hermes.shapes.scene import CANVAS

Floats = NDArray[np.float32]
SPECK = 8
_CONTRAST = 30.0
_STRONG = 0.75
_NEAR_BACKGROUND = 32.0
_NEAR_PLANE = 14.0
_LEAST_BACKGROUND = 300
_OFFSETS = np.asarray(list(PALETTE.values()), dtype=np.float32) - np.asarray(BACKGROUND, dtype=np.float32)
_LENGTHS = np.linalg.norm(_OFFSETS, axis=1)
_DIRECTIONS = (_OFFSETS / _LENGTHS[:, None]).T
_AXIS = (np.arange(CANVAS, dtype=np.float32) + 0.5) / CANVAS - 0.5
_PLANE = np.stack([np.ones((CANVAS, CANVAS), np.float32), *np.meshgrid(_AXIS, _AXIS, indexing="ij")], axis=-1).reshape(
    -1, 3
)


@dataclass(frozen=True)
class Blob:
    """A connected patch of one color in picture ``index``: its pixels (rows, columns)."""

    index: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


@dataclass(frozen=True)
class Segmented:
    """``offset`` (N, H, W, 3): pixel minus background. ``foreground`` (N, H, W). ``plain`` (N,): background found."""

    offset: Floats
    foreground: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    blobs: list[Blob]


def segment(pictures: NDArray[np.uint8]) -> Segmented:
    """Pictures (N, CANVAS, CANVAS, 3) to blobs of at least SPECK pixels, in picture order."""
    offset, plain = _subtract_background(pictures.astype(np.float32))
    strength = np.linalg.norm(offset, axis=-1)
    foreground = (strength > _CONTRAST) & plain[:, None, None]
    labels = _color_labels(offset, foreground)
    return Segmented(offset, foreground, plain, _blobs(labels))


def _subtract_background(pictures: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Fit a plane to each channel over the grey pixels, twice: the second leaves out what the first explains badly."""
    pixels = pictures.reshape(len(pictures), -1, 3)
    offset = pixels - np.asarray(BACKGROUND, dtype=np.float32)
    limit = _NEAR_BACKGROUND
    for _ in range(2):
        weight = (np.abs(offset).max(axis=-1) < limit).astype(np.float32)
        plain = weight.sum(axis=1) >= _LEAST_BACKGROUND
        weighted = _PLANE[None] * weight[..., None]
        gram = weighted.transpose(0, 2, 1) @ _PLANE + np.eye(3, dtype=np.float32)
        plane = np.linalg.solve(gram, weighted.transpose(0, 2, 1) @ pixels)
        offset = pixels - _PLANE @ plane
        limit = _NEAR_PLANE
    return offset.reshape(pictures.shape), plain


def _color_labels(offset: Floats, foreground: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Palette index of each foreground pixel, -1 elsewhere: the color towards which it leaves the background.

    Pale pixels (borders, blends of two neighbours) take the label of their strongest neighbour.
    """
    along = offset @ _DIRECTIONS
    labels = along.argmax(axis=-1)
    strength = np.take_along_axis(along, labels[..., None], axis=-1)[..., 0] / _LENGTHS[labels]
    strength = np.where(foreground, strength, 0.0)
    pale = foreground & (strength < _STRONG)
    labels = np.where(foreground, labels, -1).astype(np.int8)
    best, voted = strength.copy(), labels.copy()
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        source = (slice(None), _shifted(dy), _shifted(dx))
        target = (slice(None), _shifted(-dy), _shifted(-dx))
        better = pale[target] & (strength[source] > best[target])
        np.copyto(best[target], strength[source], where=better)
        np.copyto(voted[target], labels[source], where=better)
    return voted


def _shifted(step: int) -> slice:
    return slice(max(step, 0), CANVAS + min(step, 0))


def _blobs(labels: NDArray[np.int8]) -> list[Blob]:
    """4-connected components of equal label: each pixel takes the least number that it touches until none changes."""
    ids = np.arange(labels.size).reshape(labels.shape)
    across = (labels[:, :, 1:] == labels[:, :, :-1]) & (labels[:, :, 1:] >= 0)
    down = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
    while True:
        before = ids.copy()
        for first, second, joined in (
            (ids[:, :, 1:], ids[:, :, :-1], across),
            (ids[:, 1:], ids[:, :-1], down),
        ):
            np.minimum(first, second, out=first, where=joined)
            np.minimum(first, second, out=second, where=joined)
        ids = ids.reshape(-1)[ids]
        if np.array_equal(ids, before):
            break
    pixels = np.flatnonzero(labels.reshape(-1) >= 0)
    roots = ids.reshape(-1)[pixels]
    order = np.argsort(roots, kind="stable")
    pixels, roots = pixels[order], roots[order]
    groups = np.split(pixels, np.flatnonzero(np.diff(roots)) + 1)
    blobs = []
    for group in groups:
        if len(group) >= SPECK:
            index, rows, columns = np.unravel_index(group, labels.shape)
            blobs.append(Blob(int(index[0]), rows, columns))
    return blobs
