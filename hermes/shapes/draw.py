"""Scene -> picture: anti-aliased signed-distance drawing with jitter of background, shade and noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hermes.shapes.scene import CANVAS, Obj, Scene

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 40),
    "orange": (245, 135, 20),
    "yellow": (245, 225, 40),
    "green": (40, 150, 60),
    "blue": (35, 80, 205),
    "purple": (125, 45, 160),
    "pink": (250, 155, 200),
    "brown": (110, 65, 30),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
}
BACKGROUND = (158, 162, 166)
SHADE_JITTER = 9.0
NOISE = 3.0
_AXIS = np.arange(CANVAS, dtype=np.float32) + 0.5


def coverage(obj: Obj, window: tuple[slice, slice] = (slice(None), slice(None))) -> NDArray[np.float32]:
    """How much of each pixel the object covers, 0..1, inside the window (rows, columns)."""
    y, x = _AXIS[window[0], None] - obj.y, _AXIS[None, window[1]] - obj.x
    angle = np.deg2rad(obj.tilt)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    r = obj.radius
    if obj.shape == "circle":
        distance = np.hypot(u, v) - r
    elif obj.shape == "square":
        distance = np.maximum(np.abs(u), np.abs(v)) - 0.88 * r
    elif obj.shape == "diamond":
        distance = (np.abs(u) + np.abs(v) - 1.12 * r) / np.sqrt(2)
    elif obj.shape == "triangle":
        distance = np.maximum(v - 0.75 * r, (1.9 * np.abs(u) - (v + 1.05 * r)) / np.hypot(1.9, 1.0))
    elif obj.shape == "cross":
        arm = 0.36 * r
        a, b = np.abs(u), np.abs(v)
        distance = np.minimum(np.maximum(a - arm, b - r), np.maximum(b - arm, a - r))
    else:
        raise ValueError(f"unknown shape {obj.shape!r}")
    alpha: NDArray[np.float32] = np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)
    return alpha


def draw_array(scene: Scene) -> NDArray[np.uint8]:
    """The picture as (CANVAS, CANVAS, 3) uint8."""
    rng = np.random.default_rng(scene.seed)
    ramp = rng.uniform(-8, 8, 2)
    level = rng.uniform(-10, 10)
    field = level + ramp[0] * (_AXIS[:, None] / CANVAS - 0.5) + ramp[1] * (_AXIS[None, :] / CANVAS - 0.5)
    picture = np.asarray(BACKGROUND, dtype=np.float32) + field[..., None].astype(np.float32)
    for obj in scene.objects:
        reach = int(np.ceil(obj.radius * 1.3)) + 2
        rows = slice(max(0, int(obj.y) - reach), min(CANVAS, int(obj.y) + reach + 1))
        columns = slice(max(0, int(obj.x) - reach), min(CANVAS, int(obj.x) + reach + 1))
        color = np.asarray(PALETTE[obj.color], dtype=np.float32) + rng.uniform(-SHADE_JITTER, SHADE_JITTER, 3)
        alpha = coverage(obj, (rows, columns))[..., None]
        picture[rows, columns] += alpha * (color.astype(np.float32) - picture[rows, columns])
    picture += rng.standard_normal(picture.shape, dtype=np.float32) * NOISE
    pixels: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return pixels


def draw(scene: Scene) -> Image.Image:
    """The picture as a PIL image."""
    return Image.fromarray(draw_array(scene))


def draw_batch(scenes: Sequence[Scene]) -> NDArray[np.uint8]:
    """Many pictures, (N, CANVAS, CANVAS, 3) uint8."""
    return np.stack([draw_array(scene) for scene in scenes])
