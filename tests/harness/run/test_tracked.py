"""`--trackers`: every metric, count and gap reaches the tracker once, and nothing is told where none is asked for."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from points import Wandb, points
from stored import results

from hermes.commands import evaluate
from hermes.harness.run import runner
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.trackers import tracking

TASKS = ("pope", "homologous-u", "homologous-g", "homologous-g@guidance_scale=1")


def settings(out: Path, **more: Any) -> EvalSettings:
    return EvalSettings(tasks=TASKS, limit=2, out=out, device="cpu", **{"trackers": ("tensorboard",), **more})


def test_every_metric_count_and_gap_is_one_point_however_often_it_is_told(tmp_path: Path) -> None:
    for _ in range(2):
        evaluate(settings(tmp_path))
    told = points(tmp_path / "hermes-eval")
    written = json.loads(results(tmp_path))
    wanted = {
        f"{task}/{name}": metric["value"]
        for task, result in written["results"].items()
        for name, metric in result["metrics"].items()
        if metric["value"] is not None
    }
    assert len(wanted) > 10
    gap = written["gap"]["homologous"]
    wanted |= {f"homologous/{key}": gap[key]["value"] for key in ("u", "g", "gap")}
    counts = written["results"]["pope"]["counts"]
    wanted |= {"pope/count/n": sum(counts.values()), "pope/count/error": 0}
    for name, value in wanted.items():
        assert told[name.replace("@", "_").replace("=", "_")] == {0: pytest.approx(value)}, name
    assert "homologous_guidance_scale_1/gap" in told
    evaluate(settings(tmp_path, fresh=True, trackers=()))
    assert not (tmp_path / "hermes-eval").exists()


def test_weights_and_biases_hear_the_same_figures_once_and_others_as_a_run_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = Wandb(monkeypatch)
    for _ in range(2):
        evaluate(settings(tmp_path / "a", trackers=("wandb",)))
    assert [list(run) for run in wandb.runs.values()] == [[0]]
    evaluate(settings(tmp_path / "b", trackers=("wandb",)))
    assert [list(run) for run in wandb.runs.values()] == [[0], [0]]
    with tracking(("wandb",), "hermes-eval", tmp_path / "a", {}, cpu=True, of="mended") as track:
        track({"x": 1.0}, 0)
    assert [list(run) for run in wandb.runs.values()] == [[0], [0], [0]]
    assert wandb.ignored == 0


@pytest.mark.parametrize(
    ("name", "words"), [("tensorbord", "knows no 'tensorbord'"), ("aim", "'aim' is not installed; pip install aim")]
)
def test_a_tracker_that_would_note_nothing_is_refused_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setattr(runner, "plan_tasks", None)
    with pytest.raises(HermesError, match=words):
        evaluate(settings(tmp_path, trackers=(name,)))


def test_a_tracker_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        raise ValueError("No API key configured.\nUse it to log in.")

    Wandb(monkeypatch)
    monkeypatch.setattr("wandb.login", refuses)
    with pytest.raises(HermesError, match=r"^trackers: wandb does not start \(No API key.*log in\); run `wandb login`"):
        evaluate(settings(tmp_path, trackers=("wandb",)))


def test_nothing_is_imported_where_no_tracker_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate.tracking", None)
    evaluate(settings(tmp_path, trackers=()))
    assert not (tmp_path / "hermes-eval").exists()
    with pytest.raises(ImportError):
        evaluate(settings(tmp_path))


def test_other_processes_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hermes.harness.system import trackers
    from hermes.harness.system.processes import Processes

    monkeypatch.setattr(trackers, "current", lambda: Processes(1, 2, 1))
    with tracking(("tensorboard",), "hermes-eval", tmp_path, {}, cpu=True) as track:
        track({"x": 1.0}, 0)
    assert not list(tmp_path.iterdir())
