"""Plans and orders of drawing: stored with the picture, part of what identifies a run, refused where unknown."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from stored import answers, content

import hermes
from hermes.align.pairs.preferences import Candidate, Duel, Preference
from hermes.align.pairs.tokens import train_pair
from hermes.harness.contracts.model import Drew, Model
from hermes.harness.records.types import Request
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.report import report_markdown

TASKS = ("geneval", "geneval@plan=off")


class Planner(Model):
    """Writes a plan unless it is told not to."""

    world = "shapes"
    decoding = ("plan",)

    def generate(self, requests: Sequence[Request]) -> list[Drew]:
        picture = Image.new("RGB", (48, 48))
        plans = [None if one.config.plan == "off" else f"first {one.prompt}" for one in requests]
        return [Drew(picture, plan=plan, truncated=bool(plan)) for plan in plans]


class Plain(Model):
    """Knows nothing of plans."""

    world = "shapes"

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        return [Image.new("RGB", (48, 48)) for _ in requests]


def settings(folder: Path, *tasks: str) -> EvalSettings:
    return EvalSettings(tasks=tasks, limit=1, out=folder, device="cpu")


def plans(folder: Path, task: str) -> set[str | None]:
    return {answer.plan for answer in answers(folder, task).values()}


def test_a_plan_is_stored_with_its_picture_and_replayed(tmp_path: Path) -> None:
    evaluate(settings(tmp_path / "run", *TASKS), model=Planner())
    planned = plans(tmp_path / "run", "geneval")
    assert all(plan and plan.startswith("first a photo of") for plan in planned)
    assert plans(tmp_path / "run", "geneval@plan=off") == {None}
    hermes.evaluate(
        f"replay:{tmp_path / 'run'}", tasks=TASKS[:1], data="shapes", limit=1, out=tmp_path / "again", device="cpu"
    )
    assert plans(tmp_path / "again", "geneval") == planned
    for run in ("run", "again"):
        told = report_markdown(tmp_path / run)
        assert told.count(" plans were cut off at the limit of new tokens") == 1


def test_the_plan_identifies_the_run(tmp_path: Path) -> None:
    """Drawn without a plan is another run; a setting that is not given is as if it did not exist."""
    evaluate(settings(tmp_path / "on", "geneval"), model=Planner())
    evaluate(settings(tmp_path / "off", "geneval@plan=off"), model=Planner())
    on, off = (json.loads((tmp_path / name / "spec.json").read_text())["tasks"] for name in ("on", "off"))
    assert not {"order", "choice_temperature", "plan", "plan_temperature"} & on["geneval"]["config"].keys()
    assert off["geneval@plan=off"]["config"]["plan"] == "off"
    assert content(tmp_path / "on")["run_id"] != content(tmp_path / "off")["run_id"]


@pytest.mark.parametrize("setting", ["order=random", "choice_temperature=2", "plan=on", "plan_temperature=0"])
def test_a_setting_that_the_model_does_not_know_is_refused(tmp_path: Path, setting: str) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(HermesError, match=f"has no setting '{name}'; leave it out"):
        evaluate(settings(tmp_path / "run", f"geneval@{setting}"), model=Plain())


def test_winner_and_loser_are_trained_with_their_plans() -> None:
    winner, loser = (
        Candidate(item_id="a", side="gen", round=1, index=k, seed=k, score=1.0 - k, image="0" * 64, plan=plan)
        for k, plan in enumerate(("a plan", ""))
    )
    preference = Preference(
        item_id="a", round=1, image="0" * 64, caption="c", prompt="p", und=None, gen=Duel(winner=winner, loser=loser)
    )
    pair = train_pair(preference, Path("media"))
    assert pair.gen
    assert [item.plan for item in pair.gen] == ["a plan", ""]
