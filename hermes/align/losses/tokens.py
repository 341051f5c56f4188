"""Objectives of pairs that need log-probabilities token by token: LD-DPO, WPO, and the winners' likelihood by token.

For loops of your own: Hermes' trainer has the sum of a candidate's log-probabilities, not its tokens, and so uses none
of these. `side_of` makes sums of the tokens, which every loss of a side takes (`losses/sides.py`). Log-probabilities
are in nats; rows are padded, and what stands in places that do not count is never looked at.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hermes.align.losses.objectives import SideLogProbs, log_ratios
from hermes.align.losses.sides import side_loss


@dataclass(frozen=True)
class PairTokens:
    """B pairs token by token: winners' tensors (B, T), losers' (B, U).

    ``counts_winner`` and ``counts_loser`` (bool) say which places hold tokens of the answer; a row may have none.
    """

    policy_winner: Tensor
    policy_loser: Tensor
    reference_winner: Tensor
    reference_loser: Tensor
    counts_winner: Tensor
    counts_loser: Tensor


def log_probs_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """log p of each token, (..., T), from logits (..., T, V) and ``tokens`` (..., T); in float32 at least."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


@torch.no_grad()
def log_collisions(logits: Tensor) -> Tensor:
    """log of the sum of p^2 over the vocabulary, (..., T), from logits (..., T, V): what WPO compares a token with."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (2 * wide.log_softmax(-1)).logsumexp(-1)


def side_of(pairs: PairTokens, tail: float = 1.0) -> SideLogProbs:
    """Sums of the log-probabilities, with ``tail`` as the weight of what the longer answer has more: LD-DPO.

    log p = sum of the first n tokens + tail x sum of the others, n = min(n_w, n_l), of policy and reference, of winner
    and loser (arXiv 2409.06411, whose alpha is ``tail``). 1 is DPO; 0 cuts the longer answer, so that not even an
    impossible token of its end has a part. ``tokens_winner`` and ``tokens_loser`` are n_w and n_l.
    """
    won, lost = pairs.counts_winner, pairs.counts_loser
    shared = torch.minimum(won.sum(-1, keepdim=True), lost.sum(-1, keepdim=True))
    return SideLogProbs(
        _sum(pairs.policy_winner, won, shared, tail),
        _sum(pairs.policy_loser, lost, shared, tail),
        _sum(pairs.reference_winner, won, shared, tail),
        _sum(pairs.reference_loser, lost, shared, tail),
        won.sum(-1),
        lost.sum(-1),
        torch.ones(len(won), dtype=torch.bool, device=won.device),
    )


@torch.no_grad()
def wpo_weight(log_probs: Tensor, collisions: Tensor, counts: Tensor) -> Tensor:
    """exp(mean over tokens of (log p - log sum_v p_v^2)), (B,), without gradient: WPO (arXiv 2406.11827, eq. 2).

    How likely the policy itself would have given this answer; all three are (B, T), ``collisions`` as
    `log_collisions` gives them. 1 for an answer without tokens, 0 for an impossible one.
    """
    return (_total(log_probs - collisions, counts) / counts.sum(-1).clamp(min=1)).exp()


def weighed(
    side: SideLogProbs,
    weight: Tensor,
    name: str,
    beta: float,
    smoothing: float = 0.0,
    normalize: bool = False,
) -> Tensor:
    """``weight`` (B,) x the loss of a side, (B,); WPO with the product of winner's and loser's `wpo_weight`.

    ``name``, ``beta``, ``smoothing`` as of `side_loss`, ``normalize`` as of `log_ratios`. A pair of weight 0 gives 0,
    and no gradient, however impossible its answers.
    """
    side = replace(side, present=side.present & (weight > 0))
    loss = side_loss(name, *log_ratios(side, normalize), beta, smoothing)
    return torch.where(side.counted, weight * loss, torch.zeros_like(loss))


def sft(log_probs: Tensor, counts: Tensor) -> Tensor:
    """-sum of log pi / number of tokens, over all tokens of all rows (B, T), so that long answers weigh more; a scalar.

    TRL's `sft` among DPO's losses. The ``anchor`` of Hermes' trainer is the mean over each pair's tokens instead
    (iterative RPO, arXiv 2404.19733, eq. 1). 0 without tokens.
    """
    return -_total(log_probs, counts).sum() / counts.sum().clamp(min=1)


def _sum(log_probs: Tensor, counts: Tensor, shared: Tensor, tail: float) -> Tensor:
    if tail == 1:
        return _total(log_probs, counts)
    first = counts & (counts.cumsum(-1) <= shared)
    begin = _total(log_probs, first)
    return begin + tail * _total(log_probs, counts & ~first) if tail else begin


def _total(values: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, values, torch.zeros_like(values)).sum(-1)
