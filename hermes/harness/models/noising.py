"""Log-probabilities of pictures that are flows or diffusions: squared errors under times and noise that a seed fixes.

With log p(x0) = -1/2 sum of squared errors of the prediction, and the number of elements as its count, DPO on sums is
Diffusion-DPO (arXiv 2311.12908) and Flow-DPO (arXiv 2501.13918); their beta over means is D times the beta on sums.
Constants of the Gaussian are left out: they cancel between policy and reference.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hermes.harness.records.seeds import derive_seed


def levels_of(seed: int, count: int) -> Tensor:
    """``count`` levels, as ``stratified``, that depend on the seed alone."""
    return stratified(np.random.default_rng(derive_seed(seed, "times")), count)


def stratified(rng: np.random.Generator, count: int) -> Tensor:
    """``count`` uniform numbers in (0, 1), float64, one in each of as many equal parts.

    The time explains most of an error: drawn freely, K of them would be far noisier.
    """
    return torch.from_numpy((np.arange(count) + rng.random(count)) / count).clamp(1e-6, 1 - 1e-6)


def logit_normal(levels: Tensor, mean: float = 0.0, deviation: float = 1.0, shift: float = 1.0) -> Tensor:
    """Times in (0, 1) from uniform levels: sigmoid(mean + deviation normal), then s t / (1 + (s - 1) t).

    ``shift`` is s.
    """
    return shifted(torch.sigmoid(mean + deviation * torch.special.ndtri(levels)), shift)


def shifted(times: Tensor, shift: float) -> Tensor:
    """s t / (1 + (s - 1) t) of times in [0, 1], of which a ``shift`` s above 1 moves more to the noisy end."""
    return shift * times / (1 + (shift - 1) * times)


def noise_of(seed: int, count: int, shape: Sequence[int]) -> Tensor:
    """Standard normal noise (count, *shape), float32 on the CPU, that depends on the seed, its number and the shape."""
    return torch.stack(
        [
            torch.randn(tuple(shape), generator=torch.Generator().manual_seed(derive_seed(seed, "noise", number)))
            for number in range(count)
        ]
    )


def flowed(clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = (1 - t) x0 + t noise and its velocity noise - x0; clean and noise (R, ...), times (R,) with 1 all noise."""
    t = times.to(clean.dtype).view(-1, *[1] * (clean.dim() - 1))
    return (1 - t) * clean + t * noise, noise - clean


def gaussian_log_probs(prediction: Tensor, target: Tensor, owner: Tensor, items: int, draws: int = 1) -> Tensor:
    """Log-probabilities (items,) from predictions and targets (R, ...), row r of which belongs to item owner[r].

    -1/2 of the sum of squared errors over the elements, meaned over an item's ``draws``; see `squared_errors`.
    """
    errors = squared_errors(prediction, target).sum(1)
    return -0.5 / draws * errors.new_zeros(items).index_add(0, owner, errors)


def squared_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """(prediction - target)^2 of each element, (R, elements), of predictions and targets (R, ...).

    In float32 at least, whatever the prediction's type: the margin of a pair is a small difference of large sums, and
    bfloat16 would lose it.
    """
    wide = torch.promote_types(prediction.dtype, torch.float32)
    return (prediction.to(wide) - target.to(wide)).square().flatten(1)
