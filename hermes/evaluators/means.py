"""Means of one value over all scores, and over the scores that share a tag."""

from collections import defaultdict
from collections.abc import Sequence

from hermes.harness.stats import mean_metric
from hermes.harness.types import Metric, Score


def mean(scores: Sequence[Score], value: str) -> Metric:
    """The mean of ``values[value]`` in percent; its interval is clustered by ``group_id``."""
    return mean_metric([score.values[value] for score in scores], [score.group_id for score in scores], scale=100)


def means_by_tag(scores: Sequence[Score], value: str, tag: str, prefix: str = "") -> dict[str, Metric]:
    """``{prefix + tag value: mean in percent}``, sorted; scores without the tag are left out."""
    return {prefix + name: mean(members, value) for name, members in by_tag(scores, tag).items()}


def by_tag(scores: Sequence[Score], tag: str) -> dict[str, list[Score]]:
    """The scores of each value of the tag, the values sorted; scores without the tag are left out."""
    tagged: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        if tag in score.tags:
            tagged[score.tags[tag]].append(score)
    return {name: tagged[name] for name in sorted(tagged)}
