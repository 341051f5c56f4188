"""The gap between understanding and generation, from scores alone.

Homologous (arXiv 2502.12148): U is the mean accuracy of the model's answers about the real images, G the mean accuracy
of the judge's answers to the same questions about the images that it drew from the captions, both over the same items.
Beside them stands whether the same questions succeed on both sides (joint.py).
Unison (arXiv 2606.26984): the same of its items, and Uni, the mean over items of the share of questions with both.
Benchmarks: the mean of the understanding headlines minus that of the generation ones, each brought to 0..1 by its
chance and best.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hermes.harness.records.stats import DIFFERENCE, mean_metric, sum_metric
from hermes.harness.records.types import Metric, Result, Score
from hermes.harness.run.joint import Joined
from hermes.harness.run.rejection import self_rejections

UNDERSTANDING, GENERATION = "homologous-u", "homologous-g"
UNISON = ("unison-u", "unison-g")
LACKS = {"understanding": "answers no questions", "generation": "draws no images"}


def under_guidance(scale: float) -> str:
    """The task that is G under a guidance scale, ``homologous-g@guidance_scale=1.5``."""
    return f"{GENERATION}@guidance_scale={scale:g}"


def compared_guidance(scale: float) -> str:
    """The task that is G at one of several scales which are compared: 0 is G as it is asked for without a scale."""
    return under_guidance(scale) if scale else GENERATION


def lacking(abilities: Collection[str]) -> str:
    """What a model of one side does not do, such as "draws no images"; "" for one of both. It has no gap."""
    missing = [said for ability, said in LACKS.items() if ability not in abilities]
    return missing[0] if len(missing) == 1 else ""


def homologous_gap(understanding: Iterable[Score], generation: Iterable[Score]) -> dict[str, Any] | None:
    """U, G and U - G over the items that have both sides; the interval is paired and clustered by item.

    An item with an error on either side is left out of all three numbers and counted in ``dropped``. Where the scores
    say which questions are right, their 2 x 2 stands beside (`Joined.found`).
    """
    return _gap_over_items(Joined(), understanding, generation, "accuracy")


def unison_gaps(results: Mapping[str, Result], scores: Callable[[str], Iterable[Score]]) -> dict[str, Any]:
    """``{"unison": {task that draws: gap}}``, as `homologous_gap` with "unified" beside it; {} without both sides."""
    asked, drawn = UNISON
    found = {}
    for name in results if asked in results else ():
        if name.partition("@")[0] == drawn:
            joined = Joined()
            if gap := _gap_over_items(joined, scores(asked), scores(name), "generation"):
                found[name] = {**gap, "unified": joined.unified()}
    return {"unison": found} if found else {}


def _gap_over_items(
    joined: Joined, understanding: Iterable[Score], generation: Iterable[Score], right: str
) -> dict[str, Any] | None:
    """The gap, and what ``joined`` finds; ``right`` is the value of a picture that says how much of it is right."""
    u = _by_item(joined.understanding(understanding), "correct")
    g = _by_item(joined.generation(generation), right)
    items = sorted(item for item in {*u} & {*g} if u[item] is not None and g[item] is not None)
    if not items:
        return None
    left = [u[item] or 0.0 for item in items]
    drawn = [g[item] or 0.0 for item in items]
    return {
        "u": mean_metric(left, items),
        "g": mean_metric(drawn, items),
        "gap": mean_metric([a - b for a, b in zip(left, drawn, strict=True)], items, bounds=DIFFERENCE),
        "items": len(items),
        "dropped": len({*u} | {*g}) - len(items),
        **joined.found(),
    }


def _by_item(scores: Iterable[Score], key: str) -> dict[str, float | None]:
    """The mean of a value over each item's scores; None where one of them is an error."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    failed: set[str] = set()
    for score in scores:
        item = score.group_id
        sums.setdefault(item, 0.0)
        if score.status == "error":
            failed.add(item)
        elif key in score.values:
            sums[item] += score.values[key]
            counts[item] = counts.get(item, 0) + 1
    return {item: None if item in failed or item not in counts else sums[item] / counts[item] for item in sums}


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


def gaps(
    results: Mapping[str, Result], scores: Callable[[str], Iterable[Score]], undefined: str = ""
) -> dict[str, Any]:
    """Both gaps, and under ``variants`` the homologous gap with every other way of drawing that the run holds.

    ``scores`` gives all scores of a task, errors included. ``undefined`` says of a model of one side why it has no gap.
    """
    if undefined:
        return {"homologous": None, "benchmarks": None, "variants": {}, "undefined": undefined}
    both: dict[str, Any] = {"homologous": None, "benchmarks": benchmark_gap(results), "variants": {}}
    both |= self_rejections(results, scores) | unison_gaps(results, scores)
    if UNDERSTANDING in results:
        for name in sorted(results):
            if name == GENERATION:
                both["homologous"] = homologous_gap(scores(UNDERSTANDING), scores(name))
            elif name.startswith(f"{GENERATION}@"):
                both["variants"][name] = homologous_gap(scores(UNDERSTANDING), scores(name))
    return both
