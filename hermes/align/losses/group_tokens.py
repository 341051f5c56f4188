"""Group objectives token by token: GRPO and its variants with a KL divergence, T2I-R1, UniGRPO.

For loops of your own: Hermes' trainer has the sum of a candidate's log-probabilities, not its tokens, and so uses none
of these; what sums allow is in `losses/groups.py`, the advantages of all are there, too. rho is a token's ratio
pi / pi_old, n a candidate's number of tokens, s the sigmoid, A its advantage, which is constant over its tokens.

A token that policy and old policy both find impossible is left out, as is the divergence of one that policy and
reference find so; in the sources they give NaN. No loss here is NaN, and none is minus infinity.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from hermes.align.losses.groups import clipped, scored
from hermes.align.losses.sides import exp

Level = Literal["token", "sequence"]
HUGE = 1e30
"""Stands for what is infinite where it meets 0, or its opposite, in a product or a sum."""


@dataclass(frozen=True)
class GroupTokens:
    """N candidates token by token: tensors (N, T), ``advantage`` (N,), log-probabilities in nats.

    ``counts`` (bool) says which places hold a candidate's tokens; a row may have none. ``old`` is the policy that drew,
    None for this one, before any step; ``reference`` is what the divergence is from. An advantage that is not a number
    is 0.
    """

    log_probs: Tensor
    counts: Tensor
    advantage: Tensor
    old: Tensor | None = None
    reference: Tensor | None = None

    @property
    def worth(self) -> Tensor:
        """The advantages, (N, 1)."""
        return scored(self.advantage).unsqueeze(-1)

    @property
    def drawer(self) -> Tensor:
        """Log-probabilities of the policy that drew, (N, T)."""
        return self.log_probs.detach() if self.old is None else self.old

    @property
    def counted(self) -> Tensor:
        """The tokens that have a ratio, (N, T)."""
        return self.counts & ~(torch.isneginf(self.log_probs) & torch.isneginf(self.drawer))

    @property
    def log_ratio(self) -> Tensor:
        """log rho of each token, (N, T), 0 for those that do not count."""
        difference = torch.where(self.counted, self.log_probs - self.drawer, torch.zeros_like(self.log_probs))
        return difference.clamp(-HUGE, HUGE)

    def log_ratio_of(self, level: Level) -> Tensor:
        """log rho of each "token", or the mean over the "sequence" in its place (GSPO, arXiv 2507.18071, eq. 4)."""
        if level == "token":
            return self.log_ratio
        mean = self.log_ratio.sum(-1, keepdim=True) / self.counted.sum(-1, keepdim=True).clamp(min=1)
        return mean.expand_as(self.log_probs)


def k3(q: Tensor) -> Tensor:
    """e^q - q - 1, q = log ref - log pi, of each token: the third estimate of KL(pi, ref) (Schulman 2020).

    It grows as e^q where the policy all but excludes what the reference likes; q is bounded as in `exp`, without
    gradient beyond. Infinite, with a gradient, where the reference alone finds a token impossible.
    """
    q = q.clamp(max=700.0 if q.dtype == torch.float64 else 80.0)
    return q.exp() - q - 1


def grpo(
    group: GroupTokens, low: float = 0.2, high: float | None = None, level: Level = "token", most: float = math.inf
) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A) of each token, (N, T): GRPO (arXiv 2402.03300, eq. 3).

    ``high`` None is ``low``; with ``level`` "sequence" it is GSPO; ``most`` caps the rho that is not clipped (TRL's
    delta).
    """
    return clipped(group.log_ratio_of(level), group.worth, low, low if high is None else high, most)


def sapo(group: GroupTokens, up: float = 1.0, down: float = 1.05, level: Level = "token") -> Tensor:
    """-4 s(T (rho - 1)) / T A of each token, (N, T), T = ``up`` for A > 0, else ``down``: SAPO (arXiv 2511.20347)."""
    heat = torch.full_like(group.worth, down).masked_fill(group.worth > 0, up)
    return -4 * torch.sigmoid(heat * (exp(group.log_ratio_of(level)) - 1)) / heat * group.worth


def cispo(group: GroupTokens, most: float = 5.0, level: Level = "token") -> Tensor:
    """-min(rho, most) A log pi of each token, (N, T), min(...) without gradient: CISPO (arXiv 2506.13585).

    An impossible token gives 0, as rho falls faster than log pi.
    """
    rho = exp(group.log_ratio_of(level)).clamp(max=most).detach()
    return _weighed(-rho * group.worth, group)


def vespo(
    group: GroupTokens,
    up: tuple[float, float] = (2.0, 3.0),
    down: tuple[float, float] = (3.0, 2.0),
    level: Level = "token",
) -> Tensor:
    """-phi A log pi of each token, (N, T), phi = e^lam w^k e^(-lam w) without gradient: VESPO, as TRL has it.

    w is the product of a candidate's rho, each within e^-20 .. e^20, the product within 1e-8 .. e^20. (k, lam) is
    ``up`` for A >= 0, else ``down``. phi is 1 at w = 1, and the same whatever the ``level``.
    """
    log_w = group.log_ratio.detach().clamp(-20.0, 20.0).sum(-1, keepdim=True).clamp(math.log(1e-8), 20.0)
    good = group.worth >= 0
    k, lam = (torch.full_like(log_w, bad).masked_fill(good, one) for one, bad in zip(up, down, strict=True))
    return _weighed(-(lam + k * log_w - lam * log_w.exp()).exp() * group.worth, group)


TOKENS: dict[str, Callable[..., Tensor]] = {
    **dict.fromkeys(("grpo", "bnpo", "dapo", "dr_grpo", "luspo"), grpo),
    **{"sapo": sapo, "cispo": cispo, "vespo": vespo},
}
"""What each name is of a token; the names differ in the mean, too, see `group_token_loss`."""


def group_token_loss(
    name: str,
    group: GroupTokens,
    beta: float = 0.0,
    unbiased: bool = False,
    longest: int | None = None,
    tokens: float | None = None,
    level: Level = "token",
    **options: float | tuple[float, float] | None,
) -> Tensor:
    """The loss of a batch, a scalar, by its name, with ``beta`` x `k3` from the reference added to every token.

    grpo, sapo: mean over candidates of the mean over tokens. bnpo, dapo (arXiv 2503.14476), cispo, vespo: mean over all
    tokens of the batch, or the sum over ``tokens``, where this is a part of a batch that has so many. dr_grpo
    (2503.20783): the sum over N x ``longest`` tokens. luspo: mean over candidates of the sum over tokens, with "level"
    "sequence" (TRL means over padding, too, where there is a divergence). ``unbiased`` multiplies the divergence by
    rho, of the same level (TRL's use_bias_correction_kl). ``options`` are those of the token's function, in `TOKENS`.
    """
    each = TOKENS[name](group, level=level, **options)
    if beta:
        each = each + beta * _divergence(group, group.log_ratio_of(level) if unbiased else None)
    each = torch.where(group.counted, each, torch.zeros_like(each))
    if name == "dr_grpo":
        if not longest:
            raise ValueError("dr_grpo divides by the longest answer that was allowed; give longest")
        return each.sum() / (len(each) * longest)
    if name == "luspo":
        return each.sum(-1).mean()
    if name in ("grpo", "sapo"):
        return _mean(each, group.counted).mean()
    return each.sum() / (group.counted.sum().clamp(min=1) if tokens is None else tokens)


def t2i_r1(group: GroupTokens, beta: float = 0.01) -> Tensor:
    """Mean over all tokens of the batch of -A + ``beta`` `k3`, a scalar: T2I-R1 (arXiv 2505.00703), its code.

    Text and image tokens stand in one row. There is one update a draw, so ``old`` is this policy; d/d log pi of -A is
    -A.
    """
    return group_token_loss("bnpo", replace(group, old=None), beta)


def unigrpo(group: GroupTokens, clip: float = 0.2, beta: float = 0.01, third: bool = True) -> Tensor:
    """Mean over candidates of (mean of GRPO's loss + ``beta`` x sum of a divergence over the tokens), a scalar.

    UniGRPO (MMaDA, arXiv 2505.15809) as released in dLLM-RL: ``counts`` are the masked places, all log-probabilities
    under the same masks, and the divergence is from ``old``: `k3` with ``third``, else log pi - log pi_old. Log-ratios
    are kept within -10 .. 10 where they are exponents; what is infinite is so kept throughout.
    """
    q = _gap(group, group.drawer)
    near = q.clamp(-10.0, 10.0)
    q = torch.where(q.isinf(), near, q)
    divergence = near.exp() - q - 1 if third else -q
    each = clipped(group.log_ratio.clamp(-10.0, 10.0), group.worth, clip, clip)
    summed = torch.where(group.counted, divergence, torch.zeros_like(divergence)).sum(-1)
    return (_mean(each, group.counted) + beta * summed).mean()


def _divergence(group: GroupTokens, log_ratio: Tensor | None) -> Tensor:
    """`k3` of each token, times rho where its logarithm is given."""
    if group.reference is None:
        raise ValueError("beta weighs a divergence from the reference; give reference, or beta 0")
    found = k3(_gap(group, group.reference))
    return found if log_ratio is None else found.clamp(max=HUGE) * exp(log_ratio)  # rho may be 0


def _gap(group: GroupTokens, other: Tensor) -> Tensor:
    """Other - log pi of each token, 0 where both are impossible and where none counts."""
    both = torch.isneginf(group.log_probs) & torch.isneginf(other)
    return torch.where(group.counts & ~both, other - group.log_probs, torch.zeros_like(other))


def _weighed(weight: Tensor, group: GroupTokens) -> Tensor:
    """Weight x log pi; of an impossible token 0 where the weight is, and where less likely would be better."""
    none = (weight == 0) | (torch.isneginf(group.log_probs) & (weight > 0))
    return weight * torch.where(none, torch.zeros_like(group.log_probs), group.log_probs)


def _mean(each: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, each, torch.zeros_like(each)).sum(-1) / counted.sum(-1).clamp(min=1)
