"""The gap between understanding and generation, from scores alone.

Homologous (arXiv 2502.12148): U is the mean accuracy of the model's answers about the real images, G the mean accuracy
of the judge's answers to the same questions about the images that it drew from the captions, both over the same items.
Benchmarks: the mean of the understanding headlines minus that of the generation ones, each brought to 0..1 by its
chance and best.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hermes.harness.stats import mean_metric, sum_metric
from hermes.harness.types import Metric, Result, Score

UNDERSTANDING, GENERATION = "homologous-u", "homologous-g"


def homologous_gap(understanding: Sequence[Score], generation: Sequence[Score]) -> dict[str, Any] | None:
    """U, G and U - G over the items that have both sides; the interval is paired and clustered by item.

    An item with an error on either side is left out of all three numbers and counted in ``dropped``.
    """
    u, g = _by_item(understanding, "correct"), _by_item(generation, "accuracy")
    items = sorted(item for item in {*u} & {*g} if u[item] is not None and g[item] is not None)
    if not items:
        return None
    left = [u[item] or 0.0 for item in items]
    right = [g[item] or 0.0 for item in items]
    return {
        "u": mean_metric(left, items),
        "g": mean_metric(right, items),
        "gap": mean_metric([a - b for a, b in zip(left, right, strict=True)], items),
        "items": len(items),
        "dropped": len({*u} | {*g}) - len(items),
    }


def _by_item(scores: Sequence[Score], key: str) -> dict[str, float | None]:
    """The mean of a value over each item's scores; None where one of them is an error."""
    values: dict[str, list[float | None]] = defaultdict(list)
    for score in scores:
        values[score.group_id].append(None if score.status == "error" else score.values[key])
    means: dict[str, float | None] = {}
    for item, found in values.items():
        known = [value for value in found if value is not None]
        means[item] = sum(known) / len(known) if known and len(known) == len(found) else None
    return means


def benchmark_gap(results: Mapping[str, Result]) -> dict[str, Any] | None:
    """The gap over benchmark headlines.

    The homologous task itself, tasks with overrides, and tasks whose chance and best nobody knows (both the same) are
    left out.
    """
    sides: dict[str, dict[str, Metric]] = {"understanding": {}, "generation": {}}
    for name, result in results.items():
        metric = result.metrics.get(result.headline)
        unbounded = result.chance == result.best
        if (
            name in (UNDERSTANDING, GENERATION)
            or "@" in name
            or unbounded
            or metric is None
            or metric.value != metric.value
        ):
            continue
        sides[result.ability][name] = normalised(metric, result.chance, result.best)
    if not sides["understanding"] or not sides["generation"]:
        return None
    u, g = (sum_metric(list(side.values())) for side in sides.values())
    return {
        "u": u,
        "g": g,
        "gap": sum_metric([u, g], [1.0, -1.0]),
        "understanding": sorted(sides["understanding"]),
        "generation": sorted(sides["generation"]),
    }


def normalised(metric: Metric, chance: float, best: float) -> Metric:
    """(value - chance) / (best - chance), interval included, held within 0..1.

    Without the bounds one benchmark whose best is no hard limit (CIDEr: how people agree) could carry the whole mean.
    """

    def bring(value: float | None) -> float | None:
        return None if value is None else min(1.0, max(0.0, (value - chance) / (best - chance)))

    return metric.model_copy(
        update={"value": bring(metric.value), "low": bring(metric.low), "high": bring(metric.high)}
    )


def gaps(results: Mapping[str, Result], scores: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """Both gaps, and under ``variants`` the homologous gap with every other way of drawing that the run holds."""
    both: dict[str, Any] = {"homologous": None, "benchmarks": benchmark_gap(results), "variants": {}}
    if UNDERSTANDING in scores:
        for name in sorted(scores):
            if name == GENERATION:
                both["homologous"] = homologous_gap(scores[UNDERSTANDING], scores[name])
            elif name.startswith(f"{GENERATION}@"):
                both["variants"][name] = homologous_gap(scores[UNDERSTANDING], scores[name])
    return both
