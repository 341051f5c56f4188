"""The runs and the self-plays whose tables are kept as golden files: two worlds, a partial run, arms with seeds."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from made import edit, gap, history, metric, model, result, run
from played import benchmark, score, scores

from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric, Score

LABELS = ("tiny β", "Show-o_π ★", "模型 & 100%")
GENEVAL = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
DPG = ("global", "entity", "attribute", "relation", "other")
ITEMS = 40


def write(root: Path) -> Path:
    """Write everything and return the folder."""
    for world in ("shapes", "real"):
        for number, label in enumerate(LABELS):
            _model(root / world / str(number), world, label, number)
    limited = {"pope": result("pope", 99.0, "real", n=10), "mme": result("mme", 1999.0, "real", n=10)}
    run(root / "real" / "part", "a part", limited, world="real", run_id="part", limit=10)
    for arm, seeds in (("sum", (0, 1)), ("gen only", (0,))):
        for seed in seeds:
            _play(root / "plays" / f"{arm}-{seed}", arm, seed)
    return root


def rounds(root: Path) -> list[Path]:
    """The first and the last round of a self-play, to be compared."""
    return [root / "plays" / "sum-0" / f"round-{number}" / "evaluation" for number in (0, 2)]


def _model(folder: Path, world: str, label: str, step: int) -> None:
    g, u = 0.4 + step / 10, 0.62
    geneval = result("geneval", 0.3 + step / 8, world)
    geneval = geneval.model_copy(
        update={
            "metrics": {**geneval.metrics, **{name: metric(0.2 + k / 10 + step / 8) for k, name in enumerate(GENEVAL)}}
        }
    )
    dpg = result("dpg_bench", 70.0 + step, world)
    parts = {name: metric(60.0 + 5 * k + step, 1.0) for k, name in enumerate(DPG)}
    dpg = dpg.model_copy(update={"metrics": {**dpg.metrics, **parts}})
    texts = {"pope": 80.0 + 2 * step, "mme": 1200.0, "flickr30k": 60.0, "vqav2": 70.0 + step, "gqa": 55.5, "mmmu": 27.0}
    # The second model answered VQAv2 under another protocol.
    changed = {"vqav2": {"protocol": "lmms-eval"}} if step == 1 else {}
    results = {name: result(name, value, world, **changed.get(name, {})) for name, value in texts.items()}
    results |= {"geneval": geneval, "dpg_bench": dpg}
    results |= {"homologous-u": result("homologous-u", u, world), "homologous-g": result("homologous-g", g, world)}
    name = f"m{step}"
    run(folder, label, results, world=world, run_id=f"{world}{step}", model=model(name), gap=gap(u, g))


def _play(folder: Path, arm: str, seed: int) -> None:
    """Three rounds in which G rises where both sides are trained, with MMMU beside them."""
    names = [f"item {k:02}" for k in range(ITEMS)]
    u = {name: float((k + seed) % 5 > 0) for k, name in enumerate(names)}
    g = [
        {name: 0.5 + (k % 8 < 2 + 3 * number * (arm == "sum")) / 2 for k, name in enumerate(names)}
        for number in range(3)
    ]
    means = [(fmean(u.values()), fmean(one.values())) for one in g]
    history(folder, "sum", seed, means, arm=arm, align_id=f"{arm}-{seed}")
    for number, drawn in enumerate(g):
        label, run_id = f"tiny, round {number} ({arm}, seed {seed})", f"{arm.partition(' ')[0]}{seed}{number}"
        edit(folder / f"round-{number}" / "evaluation" / "results.json", label=label, run_id=run_id)
        scores(folder, number, "homologous-u", [(name, {"correct": value}) for name, value in u.items()])
        scores(folder, number, "homologous-g", [(name, {"accuracy": value}) for name, value in drawn.items()])
        found = [
            score(f"q{k}", f"q{k}", float(k % 10 < 4 + 2 * number), subject="Art" if k % 2 else "Physics")
            for k in range(ITEMS)
        ]
        right = [one.values["correct"] for one in found]
        benchmark(folder, number, "mmmu", found, 100 * fmean(right), metrics=_subjects(found))


def _subjects(found: Sequence[Score]) -> dict[str, Metric]:
    """The headline and the accuracy in each subject, as MMMU gives them."""
    parts = {"accuracy": found} | {
        name: [one for one in found if one.tags["subject"] == name] for name in ("Art", "Physics")
    }
    return {
        name: mean_metric([one.values["correct"] for one in part], [one.group_id for one in part], 100)
        for name, part in parts.items()
    }
