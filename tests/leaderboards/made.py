"""Run folders as the harness writes them, with made-up numbers."""

import json
from pathlib import Path
from typing import Any

from hermes.harness.records.types import DataInfo, GenerationConfig, Metric, ModelInfo, Result
from hermes.harness.system.disk import write_json
from hermes.leaderboards.stored import TaskFiles

BENCHMARKS: dict[str, tuple[str, str, float, float]] = {
    "pope": ("accuracy", "%", 50.0, 100.0),
    "mme": ("perception", "points", 750.0, 2000.0),
    "flickr30k": ("cider", "x100", 0.0, 100.0),
    "vqav2": ("accuracy", "%", 0.0, 100.0),
    "gqa": ("accuracy", "%", 0.0, 100.0),
    "mmmu": ("accuracy", "%", 23.5, 100.0),
    "dpg_bench": ("overall", "%", 0.0, 100.0),
    "homologous-g@guidance_scale=1.5,steps=8": ("accuracy", "0..1", 0.0, 1.0),
    "mine": ("hits", "hits", 0.0, 10.0),
    "geneval": ("overall", "0..1", 0.0, 1.0),
    "homologous-u": ("accuracy", "0..1", 0.0, 1.0),
    "homologous-g": ("accuracy", "0..1", 0.0, 1.0),
    "homologous-g@guidance_scale=1.5": ("accuracy", "0..1", 0.0, 1.0),
}
TRAINING = {
    **{"steps": 32, "pairs": 40, "loss_first": 1.386, "loss": 0.61, "replay": None, "mask_noise": 7.92},
    **{"agree_und": 0.9, "agree_gen": 0.8, "agree_both": 0.75},
    **{"winner_und": 1.5, "loser_und": -2.5, "winner_gen": 0.25, "loser_gen": -0.5},
}
GENERATION = ("geneval", "dpg_bench", "homologous-g")


def metric(value: float, half: float = 0.02) -> Metric:
    return Metric(value=value, low=value - half, high=value + half, n=100, groups=50)


def model(name: str = "tiny", parameters: int = 1_300_000) -> ModelInfo:
    return ModelInfo(
        name=name, fingerprint=f"w-{name}", abilities=("understanding", "generation"), parameters=parameters
    )


def result(task: str, value: float, world: str = "shapes", n: int = 100, **changes: Any) -> Result:
    name = task.partition("@")[0]
    headline, unit, chance, best = BENCHMARKS[task]
    counts = changes.pop("counts", {"scored": n, "unparsed": 0, "error": 0})
    data = DataInfo(
        source=changes.pop("source", world),
        fingerprint=f"{name}-{changes.pop('data', 'a')}",
        n=n,
        n_expected=100,
        world=world,
    )
    fields: dict[str, Any] = {
        "evaluator": name,
        "version": "1",
        "ability": "generation" if name in GENERATION else "understanding",
        "protocol": "official",
        "judge": "oracle 1" if name in GENERATION else None,
        "data": data,
        "headline": headline,
        "unit": unit,
        "chance": chance,
        "best": best,
        "metrics": {headline: metric(value, 1.0 if best > 1 else 0.02)},
        "n": n,
        "n_expected": 100,
        "partial": n < 100,
        "counts": counts,
    }
    return Result(**fields | changes)


def gap(u: float, g: float) -> dict[str, Any]:
    return {"homologous": {"u": metric(u), "g": metric(g), "gap": metric(u - g), "items": 50}, "benchmarks": None}


def run(folder: Path, name: str, results: dict[str, Result], **changes: Any) -> Path:
    """Write results.json and return the folder."""
    content = {
        "schema": 2,
        "run_id": f"id{name}",
        "label": name,
        "model": model(),
        "world": "shapes",
        "split": "test",
        "seed": 0,
        "limit": None,
        "protocol": "official",
        "partial": any(one.partial for one in results.values()),
        "results": results,
        "gap": {"homologous": None, "benchmarks": None, "variants": {}},
    }
    write_json(folder / "results.json", content | changes)
    return folder


def write_places(folder: Path, root: Path, places: dict[str, dict[str, str]]) -> None:
    """Write run.json and spec.json, which say where under the root the answers of tasks lie and how they were asked."""
    above = "/".join([".."] * len(folder.relative_to(root).parts))
    write_json(folder / "run.json", {"schema": 2, "root": above, "tasks": places})
    write_json(folder / "spec.json", {"schema": 2, "tasks": {task: {"config": {}} for task in places}})


def key(task: str, sample: str, index: int = 0, asked: str = "") -> str:
    """The key of an answer of such a run."""
    return TaskFiles(task.partition("@")[0], GenerationConfig(), *[Path()] * 3).key(sample, index, asked)


def history(folder: Path, objective: str, seed: int, rounds: list[tuple[float, float]], **changes: Any) -> Path:
    """Write history.json and each round's evaluation, and return the folder."""
    entries = []
    for number, (u, g) in enumerate(rounds):
        entries.append(
            {
                "round": number,
                "u": metric(u),
                "g": metric(g),
                "gap": metric(u - g),
                "g_guided": metric(g + 0.1),
                "pairs": 40 * number,
                "drops": {"gen: tie": 3} if number else {},
                "margin_und": 0.5 if number else None,
                "margin_gen": 0.4 if number else None,
                "loss": 0.61 if number else None,
                "training": TRAINING if number else None,
                "seconds": {"training": 12.5, "evaluation": 2.5} if number else {"evaluation": 2.5},
                "results": {},
            }
        )
        run(
            folder / f"round-{number}" / "evaluation",
            f"tiny, round {number}",
            {"homologous-u": result("homologous-u", u), "homologous-g": result("homologous-g", g)},
            run_id=f"{objective}{seed}{number}",
            gap=gap(u, g),
        )
    content = {
        "schema": 1,
        "align_id": f"{objective}-{seed}",
        "model": model(),
        "objective": objective,
        "seed": seed,
        "settings": f"settings-of-{objective}",
        "guided": "homologous-g@guidance_scale=1.5",
        "precision": "weights in float32, training in bfloat16, this device's choice",
        "rounds": entries,
    }
    write_json(folder / "history.json", content | changes)
    return folder


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
