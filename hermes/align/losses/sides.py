"""Losses of one side of a pair, its captions or its images: functions of the winner's and the loser's log-ratio.

a = log pi(w) - log ref(w), b the same of the loser, in nats, float tensors of shape (B,); beta scales them. With
``normalize`` both are per token, which makes `sigmoid` TRL's sigmoid_norm and `ipo` TRL's ipo. s is the sigmoid and
l(x) = -log s(x). "Start" is the gradient (dL/da, dL/db) at a = b = 0, in units of beta.

A loss that is not a number comes of no ratios, however large: see `exp`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from hermes.align.settings import mixed

DOUBT = 1e-3
"""exo_pair's chance that a preference is wrong, where ``smoothing`` does not say another."""


def sigmoid(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(beta (a - b)): DPO (arXiv 2305.18290, eq. 7).

    Start: -1/2, +1/2.
    """
    return -logsigmoid(beta * (a - b))


def hinge(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """max(0, 1 - beta (a - b)): SLiC (arXiv 2305.10425).

    Start: -1, +1; a pair with a margin of 1 is let go.
    """
    return torch.relu(1 - beta * (a - b))


def ipo(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """(a - b - 1/(2 beta))^2: IPO (arXiv 2310.12036, eq. 17).

    Start: -1/beta, +1/beta, absolute.
    """
    return (a - b - 1 / (2 * beta)) ** 2


def exo_pair(a: Tensor, b: Tensor, beta: float, doubt: float = DOUBT) -> Tensor:
    """s(m) (log s(m) - log(1 - e)) + s(-m) (log s(-m) - log e), m = beta (a - b): EXO (arXiv 2402.00856).

    The KL divergence of the pair's preference from labels that are wrong with chance ``doubt`` = e.
    """
    m = beta * (a - b)
    labels = torch.tensor([1 - doubt, doubt], dtype=m.dtype, device=m.device).log()
    # Of an infinite margin one of the two logarithms is infinite, and its share 0, also once it is weighed in a mix.
    right, wrong = (logsigmoid(sign * m).clamp(min=-1e30) for sign in (1, -1))
    return m.sigmoid() * (right - labels[0]) + (-m).sigmoid() * (wrong - labels[1])


def nca_pair(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(beta a) + l(-beta a)/2 + l(-beta b)/2: NCA (arXiv 2402.05369).

    Start: -1/4, +1/4; a is drawn to a value above 0, so the winner's own likelihood does not fall.
    """
    return -logsigmoid(beta * a) - 0.5 * logsigmoid(-beta * a) - 0.5 * logsigmoid(-beta * b)


def bco_pair(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(beta a) + l(-beta b): BCO (arXiv 2404.04656) without its running mean.

    Start: -1/2, +1/2.
    """
    return -logsigmoid(beta * a) - logsigmoid(-beta * b)


def sppo_hard(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2: SPPO (arXiv 2405.00675).

    Start: -1/beta, +1/beta, absolute.
    """
    return (a - 0.5 / beta) ** 2 + (b + 0.5 / beta) ** 2


def apo_zero(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """s(-beta a) + s(beta b): APO-zero (arXiv 2408.06266, eq. 7), for winners better than the model.

    Start: -1/4, +1/4; flat at both ends, so a hopeless pair is let go.
    """
    return torch.sigmoid(-beta * a) + torch.sigmoid(beta * b)


def apo_down(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """s(beta a) + s(-beta (a - b)): APO-down (arXiv 2408.06266, eq. 8), for winners worse than the model.

    Start: 0, +1/4; then the winner falls, too.
    """
    return torch.sigmoid(beta * a) + torch.sigmoid(-beta * (a - b))


def forward_kl(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(beta (e^-b - e^-a)): DPO under the forward KL (f-DPO, arXiv 2309.16240).

    Start: as sigmoid's; then a winner counts the more, the further it has fallen.
    """
    return -logsigmoid(beta * (exp(-b) - exp(-a)))


def js(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(beta (softplus(-b) - softplus(-a))): DPO under the Jensen-Shannon divergence (f-DPO).

    Start: half of sigmoid's.
    """
    return -logsigmoid(beta * (softplus(-b) - softplus(-a)))


def alpha(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """l(2 beta (e^(-b/2) - e^(-a/2))): DPO under the alpha divergence with alpha = 1/2 (f-DPO).

    Start: as sigmoid's.
    """
    return -logsigmoid(2 * beta * (exp(-b / 2) - exp(-a / 2)))


def sft(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """0: what is left is the winners' own likelihood per token, which ``anchor`` weighs (best of n).

    The loser has no part, so a winner needs none.
    """
    return torch.zeros_like(a)


def exp(value: Tensor) -> Tensor:
    """e^value, at most e^80 in float32, as in TRL, and e^700 in float64, so that differences of two are numbers."""
    return value.clamp(max=700.0 if value.dtype == torch.float64 else 80.0).exp()


SIDES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    loss.__name__: loss
    for loss in (
        *(sigmoid, hinge, ipo, exo_pair, nca_pair, bco_pair, sppo_hard, apo_zero, apo_down),
        *(forward_kl, js, alpha, sft),
    )
}


def side_loss(name: str, a: Tensor, b: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """The loss of each pair, (B,), by its name; of a mix, as "sigmoid:0.8,bco_pair:0.2", the weighted sum.

    With ``smoothing`` e it is (1 - e) L(a, b) + e L(b, a), as labels are wrong with that chance (conservative DPO,
    Mitchell 2023); `exo_pair` has e in its equation.
    """
    if ":" in name:
        parts = [weight * side_loss(one, a, b, beta, smoothing) for one, weight in mixed(name).items()]
        return torch.stack(parts).sum(0)
    if name == "exo_pair":
        return exo_pair(a, b, beta, smoothing or DOUBT)
    loss = SIDES[name]
    if not smoothing:
        return loss(a, b, beta)
    return (1 - smoothing) * loss(a, b, beta) + smoothing * loss(b, a, beta)
