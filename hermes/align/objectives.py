"""Pair-DPO objectives: pure functions of per-pair log-probabilities that give one loss for each pair."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class SideLogProbs:
    """One side (captions or images) of B pairs. All tensors have shape (B,).

    Log-probabilities are in nats, summed over ``tokens``; entries where ``present`` is False are ignored.
    """

    policy_winner: Tensor
    policy_loser: Tensor
    reference_winner: Tensor
    reference_loser: Tensor
    tokens_winner: Tensor
    tokens_loser: Tensor
    present: Tensor


@dataclass(frozen=True)
class PairLogProbs:
    """Both sides of B homologous pairs: ``und`` for (y_w, y_l | x), ``gen`` for (x_w, x_l | y)."""

    und: SideLogProbs
    gen: SideLogProbs


@dataclass(frozen=True)
class Margins:
    """Delta_und and Delta_gen, shape (B,), 0 where the pair lacks the side."""

    und: Tensor
    gen: Tensor
    has_und: Tensor
    has_gen: Tensor


@dataclass(frozen=True)
class PairLoss:
    """Per-pair results, each (B,): ``total`` is what is minimised, ``preference`` the objective without the anchor."""

    total: Tensor
    preference: Tensor
    margins: Margins


def margin(side: SideLogProbs, beta: float, normalize: bool = False) -> Tensor:
    """Delta = beta [(log pi - log ref)(winner) - (log pi - log ref)(loser)], shape (B,).

    Source: HermesFlow (arXiv 2502.12148), after DPO (arXiv 2305.18290, eq. 7). With ``normalize`` every
    log-ratio is divided by its number of tokens.
    """
    winner = side.policy_winner - side.reference_winner
    loser = side.policy_loser - side.reference_loser
    if normalize:
        winner = winner / side.tokens_winner.clamp(min=1)
        loser = loser / side.tokens_loser.clamp(min=1)
    return torch.where(side.present, beta * (winner - loser), torch.zeros_like(winner))


def product(m: Margins) -> Tensor:
    """L = -log sigmoid(Delta_und * Delta_gen), the equation printed in the HermesFlow paper.

    dL/dDelta_und = -sigmoid(-Delta_und Delta_gen) Delta_gen: exactly 0 at the start, where both margins are 0, and L
    falls towards (-, -) as it does towards (+, +). A pair that lacks a side gives 0.
    """
    return torch.where(m.has_und & m.has_gen, -logsigmoid(m.und * m.gen), torch.zeros_like(m.und))


def separate(m: Margins) -> Tensor:
    """L = -log sigmoid(Delta_und) - log sigmoid(Delta_gen), the released training script: minus the log of the
    product of both preference probabilities.

    dL/dDelta = -sigmoid(-Delta) on each side, -1/2 at the start; the sides do not see each other.
    """
    return und(m) + gen(m)


def und(m: Margins) -> Tensor:
    """L = -log sigmoid(Delta_und): DPO on captions alone (the paper's ablation)."""
    return torch.where(m.has_und, -logsigmoid(m.und), torch.zeros_like(m.und))


def gen(m: Margins) -> Tensor:
    """L = -log sigmoid(Delta_gen): DPO on images alone (the paper's ablation)."""
    return torch.where(m.has_gen, -logsigmoid(m.gen), torch.zeros_like(m.gen))


def joint(m: Margins) -> Tensor:
    """L = -log sigmoid(Delta_und + Delta_gen): DPO on the pair as one sample, (y_w, x_w) over (y_l, x_l).

    Both gradients are -sigmoid(-(Delta_und + Delta_gen)), so a large margin on one side hides a negative one on the
    other.
    """
    return torch.where(m.has_und | m.has_gen, -logsigmoid(m.und + m.gen), torch.zeros_like(m.und))


def coupled(m: Margins) -> Tensor:
    """L = log(1 + exp(-Delta_und) + exp(-Delta_gen)), a coupling without saddle and without false optimum.

    It is -log sigmoid of the smooth minimum -log(exp(-Delta_und) + exp(-Delta_gen)), and the Plackett-Luce negative
    log-likelihood that (y_w, x_w) is chosen among (y_w, x_w), (y_l, x_w), (y_w, x_l); `sum` adds (y_l, x_l) to them.
    dL/dDelta_s = -exp(-Delta_s) / (1 + exp(-Delta_und) + exp(-Delta_gen)): -1/3 each at the start, negative everywhere,
    in the ratio exp(Delta_gen - Delta_und), so the side that lags gets the larger share. L is convex in the margins,
    its infimum 0 is reached only where both grow. A missing side leaves out its term (plain DPO on the other).
    """
    never = torch.full_like(m.und, -torch.inf)
    terms = (
        torch.zeros_like(m.und),
        torch.where(m.has_und, -m.und, never),
        torch.where(m.has_gen, -m.gen, never),
    )
    return torch.logsumexp(torch.stack(terms), dim=0)


def replay(m: Margins) -> Tensor:
    """L = 0: the control arm, which trains on replayed data alone."""
    return torch.zeros_like(m.und)


class Objective(NamedTuple):
    """A loss, whether a pair that has (has_und, has_gen) can be used by it, and the sides whose winners it anchors."""

    loss: Callable[[Margins], Tensor]
    usable: Callable[[bool, bool], bool]
    anchored: tuple[str, ...]


BOTH = ("und", "gen")
OBJECTIVES: dict[str, Objective] = {
    "sum": Objective(separate, lambda has_und, has_gen: has_und or has_gen, BOTH),
    "product": Objective(product, lambda has_und, has_gen: has_und and has_gen, BOTH),
    "coupled": Objective(coupled, lambda has_und, has_gen: has_und or has_gen, BOTH),
    "joint": Objective(joint, lambda has_und, has_gen: has_und or has_gen, BOTH),
    "und": Objective(und, lambda has_und, has_gen: has_und, ("und",)),
    "gen": Objective(gen, lambda has_und, has_gen: has_gen, ("gen",)),
    "replay": Objective(replay, lambda has_und, has_gen: has_und or has_gen, ()),
}


def pair_loss(
    pairs: PairLogProbs,
    objective: str,
    beta_und: float,
    beta_gen: float,
    normalize: bool = False,
    anchor: float = 0.0,
) -> PairLoss:
    """The loss of each pair, (B,), under the named objective of `OBJECTIVES`.

    ``anchor`` adds the winners' negative log-likelihood per token with this weight, on each present side that the
    objective looks at; it keeps their likelihood from falling with the loser's (the NLL term of iterative RPO,
    arXiv 2404.19733, eq. 1).
    """
    margins = Margins(
        margin(pairs.und, beta_und, normalize),
        margin(pairs.gen, beta_gen, normalize),
        pairs.und.present,
        pairs.gen.present,
    )
    preference = OBJECTIVES[objective].loss(margins)
    total = preference
    if anchor:
        for side in OBJECTIVES[objective].anchored:
            total = total + anchor * _winner_nll(pairs.und if side == "und" else pairs.gen)
    return PairLoss(total, preference, margins)


def at_zero(objective: str, margins: Margins) -> Tensor:
    """The objective's value, (B,), if all margins were 0: what policy = reference must give for these pairs."""
    zero = torch.zeros_like(margins.und)
    return OBJECTIVES[objective].loss(Margins(zero, zero, margins.has_und, margins.has_gen))


def _winner_nll(side: SideLogProbs) -> Tensor:
    nll = -side.policy_winner / side.tokens_winner.clamp(min=1)
    return torch.where(side.present, nll, torch.zeros_like(nll))
