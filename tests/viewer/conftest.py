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
def rounds() -> int:
    """How many the self-play has; tests may set it."""
    return 2


@pytest.fixture
def play(runs: Path, run: Path, rounds: int) -> Path:
    """A self-play whose rounds are evaluated as the run was; the last has a pair and a log of its training."""
    folder = run.parent / "align-1"
    content = json.loads((run / "results.json").read_text())
    gap = {name: content["gap"]["homologous"][name] for name in ("u", "g", "gap")}
    for number in range(rounds):
        home = folder / f"round-{number}" / "evaluation"
        shutil.copytree(run, home)
        places = json.loads((home / "run.json").read_text())
        (home / "run.json").write_text(json.dumps(places | {"root": "../../../.."}))
    pictures = sorted(next(runs.glob("answers/*/homologous-g-*/media")).glob("*.png"))[:3]
    (folder / "media").mkdir()
    for picture in pictures:
        shutil.copy(picture, folder / "media")
    real, won, lost = (picture.stem for picture in pictures)
    duel = {"winner": {"score": 1.0, "image": won, "plan": "a red square"}, "loser": {"score": 0.25, "image": lost}}
    pair = {"item_id": "a", "round": 1, "image": real, "caption": "a square", "prompt": "?", "und": None, "gen": duel}
    last = rounds - 1
    (folder / f"round-{last}" / "preferences.jsonl").write_text(json.dumps(pair) + "\nnot a pair\n")
    log = folder / f"round-{last}" / "training" / "train.jsonl"
    log.parent.mkdir()
    log.write_text('{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.0}\n')
    told = [{"round": number, **gap} for number in range(rounds)]
    told[last] |= {"pairs": 1, "drops": {"gen: tie": 3}, "training": {"loss": 2.0}}
    facts = {"schema": 2, "align_id": "1", "model": content["model"], "objective": "sum", "seed": 0, "rounds": told}
    (folder / "history.json").write_text(json.dumps(facts))
    (folder / "spec.json").write_text(json.dumps({"schema": 2, "model": {}, "settings": {}}))
    return folder
