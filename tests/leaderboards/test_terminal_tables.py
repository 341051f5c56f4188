"""Tables in a terminal of 80 columns, against the files in terminal/; HERMES_GOLDEN=1 writes those anew, to be read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import gap, history, model, result, run

from hermes import listed, terminal
from hermes.align.play.budget import Budget, Ranks
from hermes.align.play.cost import Phase
from hermes.align.play.forecast import PlayForecast, RoundForecast
from hermes.align.play.workplan import WorkPlan
from hermes.harness.data.check import DataCheck, Problem
from hermes.harness.questions.making import Made
from hermes.harness.records.types import Metric
from hermes.harness.run.drawing import Drawn
from hermes.harness.run.forecast import Forecast, TaskForecast
from hermes.leaderboards.read import HISTORY, read_history

GOLDEN = Path(__file__).parent / "terminal"
WIDTH = 80
SPLIT = "homologous-g@guidance_scale=1.5,steps=8"


def eval_summary(home: Path) -> tuple[Any, ...]:
    cider = Metric(value=1597.5, low=1508.2, high=1674.3, n=100)
    counts = {"scored": 60, "unparsed": 3, "error": 2, "truncated": 4}
    results = {
        "pope": result("pope", 88.5),
        "mme": result("mme", 1597.5, metrics={"perception": cider}),
        "file:my-own-questions-about-cats-and-dogs": result(
            "mine", 7.5, n=65, counts=counts, failures={"the image does not decode": 2}
        ),
        "homologous-u": result("homologous-u", 0.973),
        "dpg_bench": result("dpg_bench", 79.2),
        "homologous-g": result("homologous-g", 0.866, n=40),
        SPLIT: result(SPLIT, 0.901),
    }
    both = gap(0.973, 0.866) | {
        "benchmarks": gap(0.8, 0.404)["homologous"],
        "variants": {SPLIT: gap(0.9, 0.8)["homologous"]},
    }
    content = {
        **{
            "label": "a model with a rather long name, round 3 (sum, seed 0)",
            "world": "shapes",
            "run_id": "a6534fb7c7be",
        },
        **{"model": model(), "results": results, "gap": both},
    }
    return terminal.eval_summary(content), terminal.answers({"pope": Drawn(1200, 34)})


def align_summary(home: Path) -> tuple[Any, ...]:
    folder = history(home, "sum", 0, [(0.973, 0.866), (0.969, 0.884)], guided="homologous-g@guidance_scale=1")
    counts = {"scored": 30, "unparsed": 1, "error": 2}
    for number in (0, 1):
        sides = {
            "homologous-u": result("homologous-u", 0.97),
            "homologous-g": result("homologous-g", 0.9, n=31 + number, counts=counts),
        }
        run(folder / f"round-{number}" / "evaluation", f"round {number}", sides)
    return (terminal.align_summary(read_history(folder / HISTORY), "tiny, objective sum, seed 0"),)


def lists(home: Path) -> tuple[Any, ...]:
    models = [
        {
            **{
                "name": "hermes-tiny",
                "parameters": "2.5 M",
                "understands": True,
                "generates": True,
                "align": True,
                "likelihoods": ["text"],
            },
            **{"takes": ["dtype", "device-map"], "settings": [], "needs": None, "class": "a.b:C"},
            "description": "a small unified model that is described in more words than one line of a terminal holds",
        },
        {"name": "broken", "error": "model 'broken' cannot be imported: RuntimeError: not today"},
    ]
    benchmarks = [
        {
            **{"name": "a_benchmark_of_mine", "benchmark": "Mine", "ability": "understanding", "n": 214354},
            **{"n_shapes": 0, "images": 1, "headline": "accuracy_over_pairs", "unit": "%", "judge_needs": None},
            **{"judge": None},
        },
        {
            **{"name": "geneval", "benchmark": "GenEval", "ability": "generation", "n": 553, "n_shapes": 96},
            **{"images": 4, "headline": "overall", "unit": "0..1", "judge_needs": "detect", "judge": "mask2former"},
        },
    ]
    judges = [
        {"name": "oracle", "can": ["answer", "detect"], "needs": "geneval", "description": "reads shapes exactly"}
    ]
    recipe = {"name": "paper", "about": "The recipe.", "file": "rounds = 3\n" + "# " + "x" * 100}
    return (
        listed.short("models", models),
        *listed.long("models", models[0]),
        listed.short("evaluators", benchmarks),
        listed.short("judges", judges),
        *listed.long("recipes", recipe),
    )


def forecasts(home: Path) -> tuple[Any, ...]:
    def task(name: str, stored: int, seconds: float | None, judge: str | None = None) -> TaskForecast:
        told: dict[str, Any] = {"data": "hub:lmms-lab/POPE", "samples": 9000, "answers": 9000, "bytes": 2_000_000}
        return TaskForecast(name=name, ability="generation", stored=stored, judge=judge, seconds=seconds, **told)

    tasks = (task("pope", 9000, 0.0), task("geneval", 12, 5400.0, "mplug:checkpoints/mplug"))
    room: dict[str, Any] = {"weights": 14_000_000_000, "memory": 20_000_000_000, "disk": 60_000_000_000}
    said: dict[str, Any] = {"model": "showlab/show-o-512x512", "device": "cuda:0", **room}
    rounds = (
        RoundForecast(number=0, missing=(), seconds=0),
        RoundForecast(number=1, missing=("training", "evaluation"), seconds=None),
    )
    return (
        terminal.eval_forecast(Forecast(**said, known=model(), tasks=tasks, seconds=5400.0, bytes=4_000_000)),
        terminal.eval_forecast(Forecast(**said, known=None, tasks=(task("pope", 0, None),), seconds=None, bytes=None)),
        terminal.align_forecast(
            PlayForecast(
                **said,
                **{"data": "journeydb/", "critic": "mplug:FOLDER", "folder": None, "rounds": rounds, "items": 5000},
                **{"captions": 50000, "images": 80000, "steps": 3000, "evaluated": ("homologous-u", "homologous-g")},
                seconds=None,
                work=work(),
            )
        ),
    )


def work() -> WorkPlan:
    """A round of Show-o 512 on one of eight processes, made up."""
    told: dict[str, Any] = {"read": 0.0, "memory": 41_000_000_000}
    taken = (("images", 4.1e18, 95_000.0), ("training", 1.2e18, 9_700.0), ("evaluation", None, None))
    return WorkPlan(
        **{"card": "NVIDIA A100-SXM4-80GB", "timed": True, "ranks": Ranks(number=8), "micro": 4, "largest": 5},
        free=80_000_000_000,
        training=Budget(
            **{"weights": 5_800_000_000, "gradients": 11_600_000_000, "moments": 11_600_000_000, "copies": 0},
            **{"fixed": 2_900_000_000, "pair": 9_100_000_000, "kept": 2_900_000_000, "kept_pair": 8_000_000_000},
            step=5_800_000_000,
        ),
        phases=tuple(Phase(name=name, flops=flops, seconds=seconds, **told) for name, flops, seconds in taken),
    )


def others(home: Path) -> tuple[Any, ...]:
    found = DataCheck(
        **{"task": "pope", "source": "a/folder/of/rows", "rows": 3, "n": 2, "n_expected": 9000, "images": 2},
        **{"columns": tuple(f"column_{n}" for n in range(9)), "changed": {"rotated": 1}, "fingerprint": None},
        problems=(Problem(kind="the image does not decode", count=1, examples=("row 3: " + "very " * 30 + "bad",)),),
    )
    made = Made(
        captions=12, asked=9, questions=30, malformed=2, filtered=1, without={"no rule": ["a", "b", "c"]}, failed={}
    )
    return (
        terminal.metrics(result("pope", 88.5)),
        *terminal.data_check(found),
        terminal.made_questions(made),
        terminal.profile({"plan": 0.5, "draw a_benchmark_with_a_long_name@guidance_scale=1.5": 3600.25}, 1234.5),
    )


@pytest.mark.parametrize("tables", [eval_summary, align_summary, lists, forecasts, others])
def test_tables_are_as_they_were_and_fit(
    tables: Callable[[Path], tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.show(*tables(tmp_path))
    shown = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    path = GOLDEN / f"{tables.__name__}.txt"
    if os.environ.get("HERMES_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")
    assert [line for line in shown.splitlines() if len(line) > WIDTH and "xxx" not in line] == []
