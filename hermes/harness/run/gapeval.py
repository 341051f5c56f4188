"""GapEval's score as its authors publish it (arXiv 2602.02140): a fit over all categories of a model together.

Each category's two abilities (understanding, generation), one offset a side and the abilities' shared Gaussian are
fitted to the shares as if there were 1,000 items: AdamW, 2,000 steps, single precision, about three seconds. The gap is
taken between the abilities without their offsets, and the offsets are held by a weight of 0.001 alone, so that it is no
property of the data: the same program in double precision moves single gaps by up to 0.2. Hermes shows the closed form
(`agreement.closed_form`), which needs no fit; this one is here to be held against printed numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.harness.records.agreement import ALL_FAIL, ALL_SUCCEED, LEAST
from hermes.harness.system.errors import HermesError

ITEMS, STEPS, RATE, DECAY, HOLD, TINY = 1000.0, 2000, 0.05, 1e-4, 1e-3, 1e-8
NEAR = 5e-3
Row = Sequence[float | str]


class Published(NamedTuple):
    """The gap of each category before and after its correction, and the mean of the latter; six digits, as printed."""

    raw: list[float]
    gaps: list[float]
    mean: float


def published(rows: Sequence[Row]) -> Published:
    """The score of a model whose categories have these shares [p11, p10, p01, p00], in the published form.

    Raises HermesError for rows that are no shares.
    """
    shares = [shares_of(row, f"GapEval's row {number}") for number, row in enumerate(rows)]
    if not shares:
        raise HermesError("GapEval takes one row of four shares or more: [p11, p10, p01, p00]")
    raw, gaps = ([round(value, 6) for value in values] for values in _fitted(shares))
    return Published(raw, gaps, round(sum(gaps) / len(gaps), 6))


def shares_of(row: Row, where: str) -> list[float]:
    """The row as shares whose sum is 1; texts that are numbers are read, as the published program reads them.

    Raises HermesError for what are no shares.
    """
    try:
        values = [float(value) for value in row]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4 or not all(value >= 0 for value in values) or not abs(sum(values) - 1) <= NEAR:
        raise HermesError(f"{where}: {row}; give four shares [p11, p10, p01, p00] whose sum is 1")
    return [value / sum(values) for value in values]


def _fitted(shares: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Each row's raw gap, d / (1 + d) of the abilities' distance d at the step of the lowest loss, and the other one.

    Both in single precision, which the printed digits show.
    """
    import torch
    from torch.nn.functional import softplus

    right = torch.tensor([[p11 + p10, p11 + p01] for p11, p10, p01, _ in shares]) * ITEMS
    wrong = torch.tensor([[p01 + p00, p10 + p00] for _, p10, p01, p00 in shares]) * ITEMS
    seen = torch.clamp(right / (right + wrong + TINY), 1e-5, 1 - 1e-5)
    ability = torch.logit(seen).requires_grad_()
    offset = torch.zeros(2, requires_grad=True)
    centre = torch.logit(seen).mean(dim=0).requires_grad_()
    spread = torch.tensor([[0.1, 0.0], [0.05, 0.1]], requires_grad=True)
    optimizer = torch.optim.AdamW([ability, offset, centre, spread], lr=RATE, weight_decay=DECAY)
    lowest, kept = float("inf"), ability.detach().clone()
    for _ in range(STEPS):
        optimizer.zero_grad()
        lower = torch.tril(spread, -1) + torch.diag(softplus(torch.diagonal(spread)) + 1e-4)
        inverse = torch.linalg.inv(lower @ lower.T)
        chance = torch.sigmoid(ability - offset)
        # Summed side by side, as the published program does: single precision keeps the order.
        fit = (
            right[:, 0] * torch.log(chance[:, 0] + TINY)
            + wrong[:, 0] * torch.log(1 - chance[:, 0] + TINY)
            + right[:, 1] * torch.log(chance[:, 1] + TINY)
            + wrong[:, 1] * torch.log(1 - chance[:, 1] + TINY)
        ).sum()
        away = ability - centre
        prior = 0.5 * torch.einsum("ni,ij,nj->n", away, inverse, away).sum()
        volume = len(shares) * torch.log(torch.diagonal(lower)).sum()
        loss = -fit + prior + volume + HOLD * (offset.pow(2).sum() + centre.pow(2).sum())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (found := loss.item()) < lowest:
            lowest, kept = found, ability.detach().clone()
    d = (kept[:, 0] - kept[:, 1]).abs()
    raw = d / (1 + d)
    p11, _, _, p00 = torch.tensor(shares).unbind(dim=1)
    gaps = torch.sigmoid(torch.logit(torch.clamp(raw, LEAST, 1 - LEAST)) + ALL_FAIL * p00 - ALL_SUCCEED * p11)
    return raw.tolist(), gaps.tolist()
