"""history.json: U, G, the gap, J and phi of every round, with what the round was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes.align.settings import AlignSettings
from hermes.align.training.steplog import TrainingReport
from hermes.harness.records.keys import short_hash
from hermes.harness.records.types import SCHEMA_VERSION
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.disk import read_json, write_json
from hermes.harness.system.environment import package_version
from hermes.harness.system.errors import HermesError

CANDIDATES = ("pictures", "texts")
"""What of a round's candidates is counted."""


def round_entry(
    number: int,
    evaluation: Mapping[str, Any],
    guided: str | None,
    guidance: float | None,
    report: TrainingReport | None,
    drops: Mapping[str, int],
    drawn: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """One round: ``evaluation`` is its results.json, ``guided`` the name of the task that is G at ``guidance``.

    Of a model of one side the other side and the gap are None. ``drawn`` is what drawn.json says of the candidates:
    how many there are, and the commonest reasons why some could not be made.
    """
    results, gap = evaluation["results"], evaluation["gap"]["homologous"]
    if gap is None:
        if not evaluation["gap"].get("undefined"):
            raise HermesError(
                f"round {number}: the evaluation holds no homologous gap; remove its folder and start again"
            )
        u, g = measured_sides(results)
        gap = {"u": u, "g": g, "gap": None}
    return {
        "round": number,
        **{side: gap[side] for side in ("u", "g", "gap")},
        **{name: gap[name] for name in ("joint", "phi", "counts") if name in gap},
        "g_guided": results[guided]["metrics"]["accuracy"] if guided else None,
        "guidance": guidance,
        "pairs": report.pairs if report else 0,
        "drops": dict(drops),
        "failures": dict(drawn.get("failures", {})),
        "drawn": {name: drawn[name] for name in CANDIDATES if name in drawn},
        "margin_und": report.margin_und if report else None,
        "margin_gen": report.margin_gen if report else None,
        "loss": report.loss if report else None,
        "training": report.model_dump() if report else None,
        "seconds": dict(seconds),
        "results": {name: result["metrics"].get(result["headline"]) for name, result in results.items()},
    }


def measured_sides(results: Mapping[str, Any]) -> tuple[Any, Any]:
    """U and G of an evaluation, each by itself; None for one that was not measured."""
    found = [results.get(task) for task in (UNDERSTANDING, GENERATION)]
    u, g = (one and one["metrics"][one["headline"]] for one in found)
    return u, g


def facts_of(
    spec: Mapping[str, Any], world: str, guided: str | None, settings: AlignSettings, lacks: str = ""
) -> dict[str, Any]:
    """What history.json says of all rounds: what its seeds have in common, G's task under guidance, the precision.

    Where each round chooses its guidance, there is no such task, but the scales that it chooses from.
    ``lacks`` is what a model of one side does not do: then it says why there is no gap.
    ``settings`` is a hash of all of the spec but the seed, and of the version of Hermes. The items of the drawn world
    follow from seed and settings.
    """
    common = {name: value for name, value in spec["settings"].items() if name != "seed"}
    items = spec["items"] if world == "real" else world
    arithmetic = "bfloat16" if spec["settings"]["bf16"] else "float32"
    chosen = "" if settings.bf16 is not None else ", this device's choice"
    drawing = spec["model"]["dtype"]
    weights = spec.get("trained", drawing)
    drawn = f", drawn and measured in {drawing}" if weights != drawing else ""
    return {
        "settings": short_hash({**spec, "items": items, "settings": common, "hermes": package_version("hermes-bench")}),
        "guided": guided or "",
        **({"guidances": list(settings.guidances)} if settings.guidances else {}),
        "precision": f"weights in {weights}, training in {arithmetic}{chosen}{drawn}",
        **({"undefined": lacks} if lacks else {}),
    }


def write_history(
    folder: Path, align_id: str, model: Mapping[str, Any], settings: AlignSettings, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect the finished rounds of an align folder, from round 0 on, into history.json."""
    rounds: list[dict[str, Any]] = []
    while (path := round_folder(folder, len(rounds)) / "round.json").exists():
        rounds.append(read_json(path))
    content = {
        "schema": SCHEMA_VERSION,
        "align_id": align_id,
        "model": dict(model),
        "objective": settings.called,
        "arm": settings.label or settings.called,
        "seed": settings.seed,
        **facts,
        "rounds": rounds,
    }
    write_json(folder / "history.json", content)
    return content


def round_folder(folder: Path, number: int) -> Path:
    return folder / f"round-{number}"
