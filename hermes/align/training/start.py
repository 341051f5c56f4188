"""Whether a training begins where policy = reference, as far as the arithmetic of its device can tell."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hermes.align.losses.likelihoods import SLOTS, PairBatches
from hermes.harness.system.errors import HermesError

SIDES = ("und", "gen")
PAIRS = 4
"""Pairs of a side that are asked twice."""
ROUNDS, COARSE, FINE = 2**-4, 2**-7, 2**-11
"""What the arithmetic may move the log-probability of a token by, in nats: bfloat16, TF32, float32. Tokens are moved
apart from each other, so a sum over n of them moves by sqrt(n) as much."""
TIMES = 3.0
"""How many times the measured noise the first step may be off."""
LEAST = {ROUNDS: 5e-2, COARSE: 1e-2, FINE: 2e-3}
"""Nats that are no difference, however quiet the arithmetic is."""


def roundings(module: nn.Module, device: torch.device, bf16: bool) -> float:
    """Which of the three the module is computed in."""
    if bf16 or next(module.parameters()).dtype in (torch.bfloat16, torch.float16):
        return ROUNDS
    return COARSE if device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32 else FINE


@torch.no_grad()
def noise(
    batches: PairBatches, module: nn.Module, rows: Sequence[int], device: torch.device, rounding: float
) -> dict[str, float]:
    """How far the same items' log-probabilities are apart when they are asked together and one by one.

    In nats, by side, as the root of the mean square. Raises HermesError where it is more than rounding can be: then
    the likelihood itself wavers.
    """
    rows = list(dict.fromkeys(row for side in SIDES for row in [row for row in rows if batches.has(row, side)][:PAIRS]))
    together, counts = batches.log_probs(module, rows, 0, device)
    alone = torch.zeros_like(together)
    for place in batches.places(rows):
        alone += batches.log_probs(module, rows, 0, device, [place])[0]
    found = apart(batches, rows, together, alone)
    for side, nats in found.items():
        tokens = math.sqrt(float(_of(batches, rows, side, counts).mean()))
        if not nats <= LEAST[rounding] + rounding * tokens:
            raise HermesError(
                f"the model's log-probabilities differ by {nats:.3g} nats between two calls on the same items, so "
                "policy = reference cannot be seen (dropout, unseeded masks, or padding that is looked at)"
            )
    return found


def apart(batches: PairBatches, rows: Sequence[int], one: Tensor, other: Tensor) -> dict[str, float]:
    """The distance of two tables (4, len(rows)) by side: the root of the mean square over the items that there are."""
    both = {side: _of(batches, rows, side, one - other) for side in SIDES}
    return {side: float(gap.detach().square().mean().sqrt()) for side, gap in both.items() if len(gap)}


def distances(batches: PairBatches, rows: Sequence[int], one: Tensor, other: Tensor) -> dict[str, Tensor]:
    """How far each item of a side is apart in two tables (4, len(rows)), in nats."""
    return {side: _of(batches, rows, side, one - other).detach().abs() for side in SIDES}


def typical(parts: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """The median distance of a side over all parts: weights or dropout move most items, rounding moves a few far.

    In bfloat16 a picture that the model finds unlikely is off by half a nat where its neighbours are equal to the bit.
    """
    both = {side: torch.cat([part[side] for part in parts]) for side in SIDES}
    return {side: float(gaps.median()) for side, gaps in both.items() if len(gaps)}


def refuse_other_start(gaps: dict[str, float], noise: dict[str, float], rounding: float) -> None:
    """Raise HermesError where the first step's log-probabilities are typically not the reference's, within the noise
    of both."""
    for side, nats in gaps.items():
        allowed = LEAST[rounding] + TIMES * noise.get(side, max(noise.values(), default=0.0))
        if not nats <= allowed:
            raise HermesError(
                f"the first step's log-probabilities are {nats:.3g} nats off their values at policy = reference, of "
                f"which rounding explains {allowed:.2g}; the reference is of other weights, or the model does not "
                "compute the same in training as without"
            )


def _of(batches: PairBatches, rows: Sequence[int], side: str, table: Tensor) -> Tensor:
    """What a table (4, len(rows)) holds of a side's items, flat."""
    places = [(slot, at) for slot, at in batches.places(rows) if SLOTS[slot].startswith(side)]
    slots, columns = [slot for slot, _ in places], [at for _, at in places]
    return table[slots, columns]
