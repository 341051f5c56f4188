"""What trackers are told of a run: every metric of every task, its counts, and the gaps."""

from collections.abc import Mapping
from typing import Any

from hermes.harness.models.device import pick_device
from hermes.harness.records.keys import short_hash
from hermes.harness.records.types import Result
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.trackers import EVAL, tracking


def track_results(settings: EvalSettings, content: Mapping[str, Any]) -> None:
    """Tell what `evaluate` returned, as one point; the same figures are told once."""
    found = figures(content)
    config = settings.model_dump() | {"run_id": content["run_id"], "world": content["world"]}
    cpu = pick_device(settings.device) == "cpu"
    with tracking(settings.trackers, EVAL, content["folder"], config, cpu, of=short_hash(found)) as track:
        track(found, 0)


def figures(content: Mapping[str, Any]) -> dict[str, float]:
    """Of results.json: "pope/accuracy" and "pope/count/error" of all tasks and metrics, "homologous/gap", ...

    ``homologous@guidance_scale=1`` is the gap to the images that were drawn under guidance.
    """
    results: Mapping[str, Result] = content["results"]
    found: dict[str, float] = {}
    for task, result in results.items():
        found |= {f"{task}/{name}": metric.value for name, metric in result.metrics.items()}
        found |= {f"{task}/count/{status}": count for status, count in {"n": result.n, **result.counts}.items()}
    for name, gap in _gaps(content["gap"]).items():
        found |= {f"{name}/{key}": gap[key].value for key in ("u", "g", "gap", "joint", "phi") if key in gap}
    return found


def _gaps(gap: Mapping[str, Any]) -> dict[str, Any]:
    variants = {f"homologous@{name.partition('@')[2]}": found for name, found in gap["variants"].items()}
    both = {"homologous": gap["homologous"], "benchmarks": gap["benchmarks"], **variants}
    return {name: found for name, found in both.items() if found}
