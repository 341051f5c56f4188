"""What a task's aggregation gave, as metrics."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric


def metrics_of(key: str, value: Any, said: Sequence[Any], groups: Sequence[str]) -> dict[str, Metric]:
    """A number as one metric, a mapping as one for each number in it; with an interval where ``groups`` fit numbers.

    Tasks do not say which values are possible: those within 0..1 count as shares, others as without bounds.
    """
    if isinstance(value, Mapping):
        return {
            name: metric
            for part in value
            for name, metric in metrics_of(f"{key}/{part}", value[part], said, []).items()
        }
    if not isinstance(value, Real):
        return {}
    if len(said) == len(groups) and all(isinstance(number, Real) for number in said):
        interval = mean_metric([float(number) for number in said], groups)
        return {key: interval.model_copy(update={"value": float(value)})}
    return {key: Metric(value=float(value), n=len(said), groups=len(said))}
