"""Means of one value over all scores, and over the scores that share a tag."""

from collections.abc import Sequence

from hermes.harness.stats import mean_metric
from hermes.harness.types import Metric, Score


def mean(scores: Sequence[Score], value: str) -> Metric:
    """The mean of ``values[value]`` in percent; its interval is clustered by ``group_id``."""
    return mean_metric([score.values[value] for score in scores], [score.group_id for score in scores], scale=100)


def means_by_tag(scores: Sequence[Score], value: str, tag: str, prefix: str = "") -> dict[str, Metric]:
    """``{prefix + tag value: mean in percent}``, sorted; scores without the tag are left out."""
    names = sorted({score.tags[tag] for score in scores if tag in score.tags})
    return {prefix + name: mean([score for score in scores if score.tags.get(tag) == name], value) for name in names}
