"""A run of hermes-tiny over both sides of the gap, and a self-play made of it, for all tests of the viewer."""

import json
import shutil
from pathlib import Path

import pytest

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings

TASKS = ("pope", "geneval", "flickr30k", "homologous-u", "homologous-g", "homologous-g@guidance_scale=1")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs that no test changes."""
    runs = tmp_path_factory.mktemp("viewer") / "runs"
    evaluate(EvalSettings(model="hermes-tiny", tasks=TASKS, limit=6, runs=runs, device="cpu"))
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


@pytest.fixture
def run(runs: Path) -> Path:
    """The folder of the run."""
    (found,) = (path.parent for path in runs.glob("*/*/results.json"))
    return found


@pytest.fixture
def play(runs: Path, run: Path) -> Path:
    """A self-play of two rounds, each evaluated as the run was, with a pair and a log of its training."""
    folder = run.parent / "align-1"
    content = json.loads((run / "results.json").read_text())
    gap = {name: content["gap"]["homologous"][name] for name in ("u", "g", "gap")}
    for number in (0, 1):
        home = folder / f"round-{number}" / "evaluation"
        shutil.copytree(run, home)
        told = json.loads((home / "run.json").read_text())
        (home / "run.json").write_text(json.dumps(told | {"root": "../../../.."}))
    pictures = sorted(next(runs.glob("answers/*/homologous-g-*/media")).glob("*.png"))[:3]
    (folder / "media").mkdir()
    for picture in pictures:
        shutil.copy(picture, folder / "media")
    real, won, lost = (picture.stem for picture in pictures)
    duel = {"winner": {"score": 1.0, "image": won, "plan": "a red square"}, "loser": {"score": 0.25, "image": lost}}
    pair = {"item_id": "a", "round": 1, "image": real, "caption": "a square", "prompt": "?", "und": None, "gen": duel}
    (folder / "round-1" / "preferences.jsonl").write_text(json.dumps(pair) + "\nnot a pair\n")
    (folder / "round-1" / "training").mkdir()
    (folder / "round-1" / "training" / "train.jsonl").write_text('{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.0}\n')
    rounds = [{"round": 0, **gap}, {"round": 1, **gap, "pairs": 1, "drops": {"gen: tie": 3}, "training": {"loss": 2.0}}]
    facts = {"schema": 2, "align_id": "1", "model": content["model"], "objective": "sum", "seed": 0, "rounds": rounds}
    (folder / "history.json").write_text(json.dumps(facts))
    (folder / "spec.json").write_text(json.dumps({"schema": 2, "model": {}, "settings": {}}))
    return folder
