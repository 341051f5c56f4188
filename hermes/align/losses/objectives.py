"""Pair-DPO objectives: pure functions of per-pair log-probabilities that give one loss for each pair.

Each is a function of the margins Delta_und and Delta_gen; docs/pair-dpo.md draws every loss and its gradient over them.
Under those that add the sides up, each side may have another loss (`losses/sides.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from hermes.align.losses.groups import group_loss
from hermes.align.losses.sides import side_loss
from hermes.align.settings import GROUPED, LossSettings


@dataclass(frozen=True)
class SideLogProbs:
    """One side (captions or images) of B pairs. All tensors have shape (B,).

    Log-probabilities are in nats, summed over ``tokens``; entries where ``present`` is False are ignored, and so are
    those without a margin: policy and reference find one of the two impossible, or one of them finds both so. A winner
    without a loser has 0 in all that is the loser's. ``advantages`` (2, B) are the winners' and the losers', where
    candidates are weighed as a group.
    """

    policy_winner: Tensor
    policy_loser: Tensor
    reference_winner: Tensor
    reference_loser: Tensor
    tokens_winner: Tensor
    tokens_loser: Tensor
    present: Tensor
    advantages: Tensor | None = None

    @property
    def counted(self) -> Tensor:
        winner, loser = torch.isneginf(self.policy_winner), torch.isneginf(self.policy_loser)
        ref_winner, ref_loser = torch.isneginf(self.reference_winner), torch.isneginf(self.reference_loser)
        no_margin = winner & loser | ref_winner & ref_loser | winner & ref_winner | loser & ref_loser
        return self.present & ~no_margin


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


def log_ratios(side: SideLogProbs, normalize: bool = False, reference_free: bool = False) -> tuple[Tensor, Tensor]:
    """log pi - log ref of winners and of losers, shape (B,) each, 0 for those that do not count.

    With ``normalize`` each is divided by its number of tokens; ``reference_free`` leaves log ref out (both: SimPO,
    arXiv 2405.14734, eq. 4).
    """
    winner, loser = side.policy_winner, side.policy_loser
    if not reference_free:
        winner, loser = winner - side.reference_winner, loser - side.reference_loser
    if normalize:
        winner = winner / side.tokens_winner.clamp(min=1)
        loser = loser / side.tokens_loser.clamp(min=1)
    counted, zero = side.counted, torch.zeros_like(winner)
    return torch.where(counted, winner, zero), torch.where(counted, loser, zero)


def margin(
    side: SideLogProbs, beta: float, normalize: bool = False, reference_free: bool = False, target: float = 0.0
) -> Tensor:
    """Delta = beta [(log pi - log ref)(winner) - (log pi - log ref)(loser)] - target, shape (B,).

    Source: HermesFlow (arXiv 2502.12148), after DPO (arXiv 2305.18290, eq. 7); ``target`` is SimPO's gamma.
    """
    winner, loser = log_ratios(side, normalize, reference_free)
    return torch.where(side.counted, beta * (winner - loser) - target, torch.zeros_like(winner))


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


def softproduct(m: Margins) -> Tensor:
    """L = -log sigmoid(softplus(Delta_und) softplus(Delta_gen)): the paper's product of margins made positive.

    With s = softplus: dL/dDelta_und = -sigmoid(-s_und s_gen) sigmoid(Delta_und) s_gen, about -0.132 at the start and
    negative everywhere, so there is no saddle and (-, -) is no optimum. There it is flat, though: L tends to ln 2 and
    both gradients vanish, so a pair that both sides rank wrongly is hardly moved. A pair that lacks a side gives 0.
    """
    together = -logsigmoid(softplus(m.und) * softplus(m.gen))
    return torch.where(m.has_und & m.has_gen, together, torch.zeros_like(m.und))


def ipo(m: Margins) -> Tensor:
    """L = (Delta_und - 1/2)^2 + (Delta_gen - 1/2)^2: each margin is drawn to 1/2 and not beyond.

    Source: IPO (arXiv 2310.12036, eq. 17), whose loss is this one over beta^2 on each side; the factor is left out, or
    the side with the smaller beta would outweigh the other. dL/dDelta = 2 Delta - 1: -1 at the start.
    """
    zero = torch.zeros_like(m.und)
    return torch.where(m.has_und, (m.und - 0.5) ** 2, zero) + torch.where(m.has_gen, (m.gen - 0.5) ** 2, zero)


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
    "softproduct": Objective(softproduct, lambda has_und, has_gen: has_und and has_gen, BOTH),
    "ipo": Objective(ipo, lambda has_und, has_gen: has_und or has_gen, BOTH),
    "und": Objective(und, lambda has_und, has_gen: has_und, ("und",)),
    "gen": Objective(gen, lambda has_und, has_gen: has_gen, ("gen",)),
    "replay": Objective(replay, lambda has_und, has_gen: has_und or has_gen, ()),
}


def sides_of(objective: str) -> tuple[str, ...]:
    """The sides that an objective looks at; both for the control, which only counts pairs."""
    return OBJECTIVES[objective].anchored or BOTH


def smoothed(objective: str, m: Margins, smoothing: float) -> Tensor:
    """(1 - eps) L(Delta_und, Delta_gen) + eps L(-Delta_und, -Delta_gen), (B,): labels that are wrong with chance eps.

    Source: conservative DPO (Mitchell 2023). The product is the same for both signs, so it is left as it is.
    """
    loss = OBJECTIVES[objective].loss
    if not smoothing:
        return loss(m)
    turned = Margins(-m.und, -m.gen, m.has_und, m.has_gen)
    return (1 - smoothing) * loss(m) + smoothing * loss(turned)


def pair_loss(pairs: PairLogProbs, settings: LossSettings) -> PairLoss:
    """The loss of each pair, (B,), under ``settings.objective``, a name of `OBJECTIVES`, and ``settings.side_loss``.

    ``anchor`` adds the winners' negative log-likelihood per token with this weight, on each present side that the
    objective looks at; it keeps their likelihood from falling with the loser's (the NLL term of iterative RPO,
    arXiv 2404.19733, eq. 1).
    """
    und, gen = pairs.und, pairs.gen
    form = (settings.normalize, settings.reference_free, settings.target)
    margins = Margins(
        margin(und, settings.beta_und, *form), margin(gen, settings.beta_gen, *form), und.counted, gen.counted
    )
    sides = {"und": (und, settings.beta_und), "gen": (gen, settings.beta_gen)}
    anchored = [sides[name] for name in OBJECTIVES[settings.objective].anchored]
    if settings.side_loss == "sigmoid":
        preference = smoothed(settings.objective, margins, settings.smoothing)
    else:
        preference = torch.stack([_side_loss(side, beta, settings) for side, beta in anchored]).sum(0)
    total = preference
    if settings.anchor:
        for side, _ in anchored:
            total = total + settings.anchor * _winner_nll(side)
    return PairLoss(total, preference, margins)


def _side_loss(side: SideLogProbs, beta: float, settings: LossSettings) -> Tensor:
    if settings.side_loss in GROUPED:
        return _group_loss(side, settings)
    winner, loser = log_ratios(side, settings.normalize, settings.reference_free)
    loss = side_loss(settings.side_loss, winner - settings.target / beta, loser, beta, settings.smoothing)
    return torch.where(side.counted, loss, torch.zeros_like(loss))


def _group_loss(side: SideLogProbs, settings: LossSettings) -> Tensor:
    """The mean of a pair's two candidates, so that the mean over pairs is that over candidates."""
    if side.advantages is None:
        raise ValueError(f"side_loss {settings.side_loss!r} needs advantages")
    won, lost = side.advantages
    name, clip = settings.side_loss, settings.clip_ratio
    winner = group_loss(name, side.policy_winner, side.reference_winner, side.tokens_winner, won, clip)
    loser = group_loss(name, side.policy_loser, side.reference_loser, side.tokens_loser, lost, clip)
    return torch.where(side.counted, (winner + loser) / 2, torch.zeros_like(winner))


def _winner_nll(side: SideLogProbs) -> Tensor:
    nll = -side.policy_winner / side.tokens_winner.clamp(min=1)
    return torch.where(side.counted, nll, torch.zeros_like(nll))
