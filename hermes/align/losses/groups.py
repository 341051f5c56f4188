"""Group objectives: what each of an item's candidates is worth beside the others, and its loss with that advantage.

Each candidate's loss depends on its own log-probability and advantage alone, so a group of G can be trained on as G/2
pairs: the best with the worst, the second with the second worst, and so on.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from hermes.align.losses.sides import exp

Over = Literal["group", "batch", "none"]
LEAST = 1e-4
"""What is added to a standard deviation, so that a group of rewards that hardly differ gives small advantages."""


def advantages(rewards: Tensor, over: Over = "group") -> Tensor:
    """(r - mean) / (std + 1e-4) of each group, (groups, G): GRPO (arXiv 2402.03300).

    ``over``: which rewards the deviation (with n - 1) is of: those of the "group", of the whole "batch", or of "none"
    (Dr. GRPO, arXiv 2503.20783, which does not divide). A reward that is not a number is left out and has advantage 0.
    """
    centred = _centred(rewards)
    if over == "none":
        return centred
    return centred / (_deviation(rewards if over == "group" else rewards.reshape(1, -1)) + LEAST)


def leave_one_out(rewards: Tensor) -> Tensor:
    """r - the mean of the others' rewards, (groups, G): RLOO (arXiv 2402.14740). A reward that is not a number, and one
    without others, has advantage 0."""
    count = (~rewards.isnan()).sum(1, keepdim=True)
    return torch.where(count > 1, _centred(rewards) * count / (count - 1).clamp(min=1), 0.0)


def worth(scores: Sequence[float], name: str) -> list[float]:
    """What each of a group's candidates is worth under a loss: its advantage, by these scores."""
    weigh = leave_one_out if name == "rloo" else advantages
    found: list[float] = weigh(torch.tensor([scores], dtype=torch.float64))[0].tolist()
    return found


def gspo(
    log_probs: Tensor,
    old: Tensor,
    tokens: Tensor,
    advantage: Tensor,
    low: float,
    high: float,
    most: float = math.inf,
) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A), rho = exp((S - S_old) / n): GSPO (arXiv 2507.18071, eq. 5).

    ``log_probs`` S and ``old`` are sums over n = ``tokens``, all (B,). The gradient by S is -A/n where S = S_old, and 0
    beyond the clip. ``most`` caps the rho that is not clipped (TRL's delta).
    """
    return clipped((log_probs - old) / tokens.clamp(min=1), advantage, low, high, most)


def rloo(log_probs: Tensor, old: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A), rho = exp(S - S_old): RLOO as TRL trains it.

    An image of many tokens leaves the clip with one step, so it is for one update a draw; see `gspo` for more.
    """
    return clipped(log_probs - old, advantage, low, high)


def group_loss(
    name: str, log_probs: Tensor, old: Tensor, tokens: Tensor, advantage: Tensor, clip: float | None = None
) -> Tensor:
    """The loss of each candidate, (B,), by its name; ``clip`` in both directions, None as in the papers."""
    if name == "rloo":
        return rloo(log_probs, old, advantage, clip or 0.2, clip or 0.2)
    return gspo(log_probs, old, tokens, advantage, clip or 3e-4, clip or 4e-4)


def clipped(log_ratio: Tensor, advantage: Tensor, low: float, high: float, most: float = math.inf) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A), rho = exp(log_ratio), of tensors of one shape, or that broadcast."""
    rho = exp(log_ratio)
    return -torch.minimum(rho.clamp(max=most) * advantage, rho.clamp(1 - low, 1 + high) * advantage)


def scored(advantage: Tensor) -> Tensor:
    """Advantages, with 0 for those that are not numbers: their candidates were not scored, so they have no say."""
    return advantage.nan_to_num(nan=0.0)


def _centred(rewards: Tensor) -> Tensor:
    """Minus the mean of the row's numbers; 0 for what is not a number."""
    return (rewards - rewards.nanmean(1, keepdim=True)).nan_to_num(nan=0.0)


def _deviation(rewards: Tensor) -> Tensor:
    """The standard deviation (n - 1) of the row's numbers, (rows, 1); 0 for one alone."""
    count = (~rewards.isnan()).sum(1, keepdim=True)
    return (_centred(rewards).square().sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
