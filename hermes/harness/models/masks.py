"""Which image tokens a masked likelihood hides, from seeds: what winner, loser, policy and reference share."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.seeds import derive_seed


def image_mask(u: float, order: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of N tokens are hidden, from a uniform number and N of them; the cosine law of training, at least one."""
    count = max(1, round(len(order) * math.cos(u * math.pi / 2)))
    return np.argsort(order, kind="stable") < count


def masks_of(seed: int, tokens: int, count: int = 1) -> list[NDArray[np.bool_]]:
    """``count`` masks (tokens,) that depend on the seed alone, in antithetic pairs of hidden shares: u and 1 - u."""
    rng = np.random.default_rng(derive_seed(seed, "masks"))
    masks: list[NDArray[np.bool_]] = []
    u = 0.0
    for number in range(count):
        u = 1 - u if number % 2 else rng.random()
        masks.append(image_mask(u, rng.random(tokens)))
    return masks


def fullest(masks: Callable[[int], list[NDArray[np.bool_]]]) -> int:
    """The seed, of the first few, whose masks hide the most: what memory must be enough for."""
    return max(range(16), key=lambda seed: sum(int(hidden.sum()) for hidden in masks(seed)))
