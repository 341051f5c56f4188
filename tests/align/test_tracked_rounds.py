"""`hermes align --trackers`: each round's figures with the round as step, once, whatever interrupts the self-play."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from points import Wandb, points

from hermes.align.play import selfplay
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings

SETTINGS: dict[str, Any] = {
    "model": "fake",
    "rounds": 2,
    "items": 4,
    "n": 2,
    "similarity": "facts",
    "critic": "oracle",
    "threshold": 0.0,
    "pairing": "either",
    "epochs": 1,
    "batch_size": 2,
    "replay_batch": 2,
    "eval_limit": 2,
    "eval_guidance": 1.5,
    "eval_tasks": ["pope"],
    "device": "cpu",
}

pytestmark = pytest.mark.usefixtures("fake_model")


def play(folder: Path, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "out": folder, **changes}))


def expected(folder: Path) -> dict[str, dict[int, float]]:
    rounds = json.loads((folder / "history.json").read_text())["rounds"]
    assert len(rounds) == 3
    found: dict[str, dict[int, float]] = {}
    for entry in rounds:
        figures = {name: entry[name]["value"] for name in ("u", "g", "gap", "g_guided")} | {"pairs": entry["pairs"]}
        figures = {f"round/{name}": value for name, value in figures.items()}
        figures |= {f"seconds/{name}": value for name, value in entry["seconds"].items()}
        for name, value in (figures | {"benchmark/pope": entry["results"]["pope"]["value"]}).items():
            found.setdefault(name, {})[entry["round"]] = pytest.approx(value, rel=1e-5)
    return found


def test_every_round_is_told_once_and_older_rounds_are_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    told = tmp_path / "run" / "hermes-align"
    play(tmp_path / "run", rounds=1)
    assert not told.exists()
    tracked = {"trackers": ("tensorboard",)}
    with monkeypatch.context() as patch:
        patch.setattr(selfplay, "_write_reports", killed)
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "run", **tracked)
    play(tmp_path / "run", **tracked)
    found = points(told)
    assert expected(tmp_path / "run").items() <= found.items()
    shutil.rmtree(tmp_path / "run" / "round-2")  # is played again, and what was told of it is gone
    play(tmp_path / "run", **tracked)
    assert expected(tmp_path / "run").items() <= points(told).items()


def test_rounds_and_trainings_are_runs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Wandb(monkeypatch)
    for rounds in (1, 2, 2):
        play(tmp_path / "run", rounds=rounds, trackers=("wandb",))
    told = [(list(run), sorted(run[1])) for run in wandb.runs.values()]
    of_rounds = [(steps, names) for steps, names in told if "round/gap" in names]
    assert [steps for steps, _ in of_rounds] == [[0, 1, 2]]
    assert len(told) == 3
    assert all("loss" in names for steps, names in told if (steps, names) not in of_rounds)
    assert wandb.ignored == 0
