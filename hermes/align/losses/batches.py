"""Losses that sort a batch: AOT, which prefers one distribution to another instead of one answer to another.

For loops of your own: the loss of a pair depends on the others of its batch, so on how pairs are dealt to batches and
processes, and Hermes' trainer promises that neither changes a result; it does not use these.
"""

import torch
from torch import Tensor

from hermes.align.losses.objectives import SideLogProbs, log_ratios
from hermes.align.losses.sides import side_loss


def aot(side: SideLogProbs, beta: float, smoothing: float = 0.0) -> Tensor:
    """l(beta (p_(i) - r_(i))), l(x) = -log sigmoid(x), (pairs,): AOT of pairs (arXiv 2406.05882).

    p_(i) and r_(i) are the i-th smallest of the policy's and of the reference's margins, log p(winner) - log p(loser).
    Pairs that do not count (`SideLogProbs`) are left out; the loss of the batch is the mean of what is given.
    ``smoothing`` as of `side_loss`.
    """
    counted = side.counted
    policy = side.policy_winner[counted] - side.policy_loser[counted]
    reference = side.reference_winner[counted] - side.reference_loser[counted]
    return _sorted(policy, reference, beta, smoothing)


def aot_unpaired(side: SideLogProbs, beta: float, smoothing: float = 0.0) -> Tensor:
    """l(beta (a_(i) - b_(i))), (pairs,): AOT of winners and losers that need not belong together (arXiv 2406.05882).

    a_(i) and b_(i) are the i-th smallest of the winners' and of the losers' log-ratios; else as `aot`.
    """
    winner, loser = (ratio[side.counted] for ratio in log_ratios(side))
    return _sorted(winner, loser, beta, smoothing)


def _sorted(upper: Tensor, lower: Tensor, beta: float, smoothing: float) -> Tensor:
    upper, lower = (values.sort(stable=True).values for values in (upper, lower))
    equal = upper.isinf() & (upper == lower)  # infinite ones of two pairs may meet, and have no difference
    difference = torch.where(equal, torch.zeros_like(upper), upper - lower)
    return side_loss("sigmoid", difference, torch.zeros_like(difference), beta, smoothing)
