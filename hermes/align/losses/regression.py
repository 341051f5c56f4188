"""Objectives that regress velocities of flows: BAGEL's and RecA's, SRUM, and the groups of DiffusionNFT and DGPO.

For loops of your own: Hermes' trainer has the log-probability of a picture, a sum, and not the velocities, and so uses
none of these (preferences on that sum are Flow-DPO). x_t = (1 - t) x0 + t noise, the velocity is noise - x0, as in
`hermes.harness.models.noising`, which has times, shifts and noising, too. Rows are pictures, or latent tokens of one.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hermes.align.losses.groups import scored
from hermes.harness.models.noising import flowed, squared_errors

Box = tuple[float | None, Sequence[float] | None]
"""A score in -1 .. 1 and left, top, right, bottom in pixels."""


def flow_regression(prediction: Tensor, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Mean of (prediction - (noise - x0))^2 over all elements, a scalar: BAGEL (arXiv 2505.14683), RecA (2509.07295).

    ``clean`` and ``noise`` (R, ...), ``times`` (R,). Rows of time 0 are clean context without loss, so ``prediction``
    has a row for each of the others alone, in their order. BAGEL's times are `shifted` (s, shift) of s = sigmoid(
    normal), and what the model sees is `flowed`. 0 where all is context.
    """
    return _mean(squared_errors(prediction, (noise - clean)[times > 0]))


def reward_map(boxes: Sequence[Box], layout: float, width: int, height: int) -> Tensor:
    """What each pixel is worth, (height, width) float32 in 0 .. 1: SRUM (arXiv 2510.12784), its code.

    max(1/2, (score + 1)/2 of every box that holds it) x (layout + 1)/2, so a bad box leaves 1/2 and nothing repels.
    ``layout`` is the score of the whole, in -1 .. 1. Coordinates are cut to integers and to the picture. A box that is
    None, empty, not of four numbers or without a score is left out; a layout that is not a number is 0, neutral.
    """
    found = torch.full((height, width), 0.5)
    for score, box in boxes:
        if box is None or len(box) != 4 or score is None or not all(map(math.isfinite, (score, *box))):
            continue
        left, top, right, bottom = (max(0, int(edge)) for edge in box)
        found[top:bottom, left:right] = found[top:bottom, left:right].clamp(min=(score + 1) / 2)
    return found * ((0.0 if math.isnan(layout) else layout) + 1) / 2


def on_grid(values: Tensor, rows: int, columns: int) -> Tensor:
    """A map (height, width) resized bilinearly to the latent grid, (rows x columns,), row by row."""
    return interpolate(values[None, None], size=(rows, columns), mode="bilinear", align_corners=False).flatten()


def srum(prediction: Tensor, drawn: Tensor, good: Tensor, noise: Tensor, rewards: Tensor, weight: float) -> Tensor:
    """Mean of R (prediction - (noise - drawn))^2 + ``weight`` x mean of (prediction - (noise - good))^2, a scalar.

    SRUM (arXiv 2510.12784), its code. Latent tokens (R, D) of the model's own picture, ``drawn``, and of one to stay
    near, ``good``, which is the same file in the released data; ``rewards`` (R,) from `on_grid`. The released script
    has a weight of 0.5.
    """
    errors = squared_errors(prediction, noise - drawn)
    return _mean(rewards.to(errors.dtype).unsqueeze(-1) * errors) + weight * _mean(
        squared_errors(prediction, noise - good)
    )


def nft(
    velocity: Tensor,
    old: Tensor,
    clean: Tensor,
    noise: Tensor,
    times: Tensor,
    advantage: Tensor,
    clip: float = 5.0,
    mix: float = 1.0,
) -> Tensor:
    """(c/k) [r err+ + (1 - r) err-] of each sample, (N,): DiffusionNFT (arXiv 2509.16117), as in Flow-Factory.

    r = clamp(A/(2c) + 1/2, 0, 1), c = ``clip``, k = ``mix``; v+ = k v + (1 - k) v_old, v- = (1 + k) v_old - k v;
    err = mean((x_t - t v± - x0)^2) / max(mean |x_t - t v± - x0|, 1e-5), the denominator without gradient, v_old
    constant. ``velocity`` and ``old`` are those of the policy and of the one that drew, (N, ...) as ``clean`` and
    ``noise``; ``times`` and ``advantage`` (N,). An advantage that is not a number is 0.
    """
    noisy, _ = flowed(clean, noise, times)
    t = times.to(clean.dtype).view(-1, *[1] * (clean.dim() - 1))
    old = old.detach()
    good = (scored(advantage) / clip / 2 + 0.5).clamp(0, 1)
    up, down = (
        _relative(noisy - t * one, clean)
        for one in (mix * velocity + (1 - mix) * old, (1 + mix) * old - mix * velocity)
    )
    return clip / mix * (good * up + (1 - good) * down)


def dgpo(
    velocity: Tensor,
    reference: Tensor,
    clean: Tensor,
    noise: Tensor,
    groups: Tensor,
    advantage: Tensor,
    beta: float,
) -> Tensor:
    """w_g A err of each sample, (N,): DGPO (arXiv 2510.08425), as in Flow-Factory, without its clipping.

    err and err_ref are the mean squared errors of the policy's and the reference's velocities (N, ...); w_g = s(beta/G
    sum over the group of A (err - err_ref)) without gradient, s the sigmoid, so w falls as good samples improve and bad
    ones worsen. ``groups`` (N,) says which group a sample belongs to, G is how many samples that has here. One noise a
    group. An advantage that is not a number is 0.
    """
    target, worth = noise - clean, scored(advantage)
    errors = squared_errors(velocity, target).mean(1)
    with torch.no_grad():
        _, place, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
        better = worth * (errors - squared_errors(reference, target).mean(1))
        totals = better.new_zeros(len(sizes)).index_add(0, place, better)
        share = torch.sigmoid(beta * totals / sizes)[place]
    return share * worth * errors


def _relative(found: Tensor, clean: Tensor) -> Tensor:
    """The mean squared error of each row over its mean absolute error, which is constant and at least 1e-5, (N,)."""
    size = (found - clean).detach().abs().flatten(1).mean(1).clamp(min=1e-5)
    return squared_errors(found, clean).mean(1) / size


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)
