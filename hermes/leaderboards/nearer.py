"""Which of two gaps is nearer to 0, as far as their intervals tell. A gap below 0 is one of a model that draws better
than it understands."""

import math
from collections.abc import Iterable

from hermes.harness.records.types import Metric


def is_nearer(one: Metric, other: Metric, less: float) -> bool:
    """Whether ``one`` is nearer to 0; ``less`` is one less the other, which is beyond the interval of that difference.

    On the same side of 0 that difference is the one of their distances, but for its sign. On either side of it, it says
    nothing of them: there the whole interval of one must be nearer than that of the other.
    """
    if one.value * other.value >= 0:
        return less * (one.value + other.value) < 0
    return _distances(one)[1] < _distances(other)[0]


def on_both_sides(gaps: Iterable[Metric]) -> bool:
    """Whether one is below 0 and one above it, each beyond its interval where it has one."""
    return {-1, 1} <= {_side(gap) for gap in gaps}


def _side(gap: Metric) -> int:
    if gap.low is not None and gap.high is not None and gap.low <= 0 <= gap.high:
        return 0
    return (gap.value > 0) - (gap.value < 0)


def _distances(gap: Metric) -> tuple[float, float]:
    """The least and the greatest distance from 0 within the interval; any at all where there is none."""
    if gap.low is None or gap.high is None:
        return 0.0, math.inf
    return max(0.0, gap.low, -gap.high), max(-gap.low, gap.high)
