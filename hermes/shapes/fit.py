"""Least-squares fit of the world's shapes to small windows, many at once: which shape, where, how large, how well."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hermes.shapes.draw import coverage
from hermes.shapes.scene import SHAPES, Obj
from hermes.shapes.segment import Floats

WINDOW = 20
_MIDDLE = WINDOW / 2
_FRAME = (slice(0, WINDOW), slice(0, WINDOW))
_STEPS = np.array([0.25, 0.25, 0.25, 4.0], dtype=np.float32)
_LEAST = np.array([_MIDDLE - 5, _MIDDLE - 5, 2.0, -12.0], dtype=np.float32)
_MOST = np.array([_MIDDLE + 5, _MIDDLE + 5, 10.0, 12.0], dtype=np.float32)
_RIDGE = 0.02
_ROUNDS = 2
_SHARP = 0.92
_BLUR = 1.0
_MOST_GAIN = 1.8


@dataclass(frozen=True)
class Fits:
    """The best fit of each of K windows.

    ``shape`` (K,) index into SHAPES; ``where`` (K, 4): x, y, radius, tilt in the window's own pixels; ``error`` (K,)
    sum of squares; ``overlap`` (K,) soft intersection over union of window and fit; ``hidden`` (K,) share of the
    fitted shape that lies where the weight is 0.
    """

    shape: NDArray[np.intp]
    where: Floats
    error: Floats
    overlap: Floats
    hidden: Floats


def fit(alpha: Floats, weight: Floats) -> Fits:
    """Windows (K, WINDOW, WINDOW), 0..1, with weights 0 or 1. Where no sharp shape fits well, blurred ones try."""
    sharp = _fit(alpha, weight, 0.0)
    poor = np.flatnonzero(sharp.overlap < _SHARP)
    if not poor.size:
        return sharp
    soft = _fit(alpha[poor], weight[poor], _BLUR)
    better = soft.error < sharp.error[poor]
    for name in ("shape", "where", "error", "overlap", "hidden"):
        getattr(sharp, name)[poor[better]] = getattr(soft, name)[better]
    return sharp


def _fit(alpha: Floats, weight: Floats, blur: float) -> Fits:
    where, covers = (
        np.stack(parts) for parts in zip(*(_fit_shape(s, alpha, weight, blur) for s in SHAPES), strict=True)
    )
    shape = np.square(alpha - covers * weight).sum(axis=(2, 3)).argmin(axis=0)
    best = (shape, np.arange(len(alpha)))
    cover = covers[best]
    seen = cover * weight
    union = np.maximum(np.maximum(alpha, seen).sum(axis=(1, 2)), 1e-3)
    return Fits(
        shape=shape,
        where=where[best],
        error=np.square(alpha - seen).sum(axis=(1, 2)),
        overlap=np.minimum(alpha, seen).sum(axis=(1, 2)) / union,
        hidden=1 - seen.sum(axis=(1, 2)) / cover.sum(axis=(1, 2)),
    )


def _fit_shape(shape: str, alpha: Floats, weight: Floats, blur: float) -> tuple[Floats, Floats]:
    """Gauss-Newton over x, y, radius and tilt: parameters (K, 4) and coverage (K, W, W)."""
    where = _first_guess(shape, alpha)
    steps = np.concatenate([np.zeros((1, 4), np.float32), np.diag(_STEPS)])
    ridge = _RIDGE * np.eye(4, dtype=np.float32)
    for _ in range(_ROUNDS):
        covers = _render(shape, where[:, None] + steps, blur) * weight[:, None]
        covers *= _gain(covers[:, 0], alpha, blur)[:, None]
        covers = covers.reshape(len(where), 5, -1)
        slopes = covers[:, 1:] - covers[:, :1]
        missing = alpha.reshape(len(where), -1, 1) - covers[:, 0, :, None]
        change = np.linalg.solve(slopes @ slopes.transpose(0, 2, 1) + ridge, slopes @ missing)[..., 0]
        where = np.clip(where + np.clip(change, -6.0, 6.0) * _STEPS, _LEAST, _MOST)
    cover = _render(shape, where, blur)
    return where, cover * _gain(cover * weight, alpha, blur)


def _gain(cover: Floats, alpha: Floats, blur: float) -> Floats:
    """Windows are scaled by their own core, which blur makes pale: a blurred cover may be scaled up to meet it."""
    if not blur:
        return np.ones((len(alpha), 1, 1), dtype=np.float32)
    gain = (cover * alpha).sum(axis=(1, 2)) / np.maximum(np.square(cover).sum(axis=(1, 2)), 1e-6)
    limited: Floats = np.clip(gain, 1.0, _MOST_GAIN)[:, None, None]
    return limited


def _render(shape: str, where: Floats, blur: float) -> Floats:
    """Coverage (..., WINDOW, WINDOW) of ``where`` (..., 4)."""
    x, y, radius, tilt = (cast(Any, where[..., k, None, None]) for k in range(4))
    cover = coverage(Obj(shape, "", "", 0, x, y, radius, tilt), _FRAME)
    if not blur:
        return cover
    kernel = _kernel(blur)
    blurred: Floats = np.matmul(np.matmul(kernel, cover), kernel, dtype=np.float32)
    return blurred


@cache
def _kernel(blur: float) -> Floats:
    """A Gaussian as a symmetric matrix (WINDOW, WINDOW) that blurs the axis it is multiplied to."""
    axis = np.arange(WINDOW, dtype=np.float32)
    kernel = np.exp(-np.square(axis[:, None] - axis) / (2 * blur**2))
    normalised: Floats = np.divide(kernel, kernel[WINDOW // 2].sum(), dtype=np.float32)
    return normalised


def _first_guess(shape: str, alpha: Floats) -> Floats:
    """Radius from the area and centre from the centroid, by how these stand in a drawn example."""
    unit_area, shift_x, shift_y = _proportions(shape)
    area, x, y = _moments(alpha)
    radius = np.sqrt(area / unit_area)
    return np.stack([x - shift_x * radius, y - shift_y * radius, radius, np.zeros_like(x)], axis=-1).astype(np.float32)


@cache
def _proportions(shape: str) -> tuple[float, float, float]:
    """Area and offset of the centroid from the centre, for radius 1."""
    radius = _MIDDLE / 2
    area, x, y = _moments(_render(shape, np.array([[_MIDDLE, _MIDDLE, radius, 0.0]], dtype=np.float32), 0.0))
    return area.item() / radius**2, (x.item() - _MIDDLE) / radius, (y.item() - _MIDDLE) / radius


def _moments(alpha: Floats) -> tuple[Floats, Floats, Floats]:
    """Area and centroid (x, y) of K windows."""
    axis = np.arange(WINDOW, dtype=np.float32) + 0.5
    area = np.maximum(alpha.sum(axis=(1, 2)), 1e-3)
    x, y = (alpha.sum(axis=1) @ axis) / area, (alpha.sum(axis=2) @ axis) / area
    return area, x, y
