"""`hermes align` killed with SIGKILL in every phase of a round: the same command ends where an undisturbed one does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load_file
from test_selfplay import SETTINGS as SMALL
from test_selfplay import play

SETTINGS = """
model = "hermes-tiny"
rounds = 1
items = 6
n = 3
epochs = 4
batch_size = 2
threshold = 0.0
pairing = "either"
replay_batch = 4
checkpoint_every = 1
eval_limit = 3
device = "cpu"
"""
# What has just appeared when the process dies: in candidates, in training, in evaluation.
MOMENTS = (
    "answers/*/candidate-captions-*/responses.0.jsonl",
    "answers/*/candidate-images-*/judgements/self-*/judgements.0.jsonl",
    "round-1/training/states/*[0-9]",
    "round-1/checkpoint",
    "round-1/evaluation/spec.json",
)


def begin(folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    config = folder.parent / "align.toml"
    config.write_text(SETTINGS)
    command = (sys.executable, "-m", "hermes", "align", "--config", str(config), "--out", str(folder))
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "seconds"}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def outcome(folder: Path) -> Iterator[Any]:
    """All that a self-play leaves but times: its history, the weights and both evaluations."""
    yield without_times(json.loads((folder / "history.json").read_text()))
    yield (folder / "round-1" / "checkpoint" / "transformer.safetensors").read_bytes()
    for number in (0, 1):
        yield (folder / f"round-{number}" / "evaluation" / "results.json").read_bytes()


def test_kills_in_every_phase_change_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = begin(undisturbed, environment)
    assert process.wait(timeout=240) == 0, process.communicate()[1]
    deaths = 0
    for moment in MOMENTS:
        process = begin(killed, environment)
        while process.poll() is None and not any(killed.glob(moment)):
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            deaths += 1
        process.wait(timeout=240)
    assert deaths >= 3
    process = begin(killed, environment)
    assert process.wait(timeout=240) == 0, process.communicate()[1]
    assert list(outcome(killed)) == list(outcome(undisturbed))


LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
TOGETHER = ("answers/*/candidate-images-*/responses.1.jsonl", "round-1/training/states/*[0-9]")


@pytest.mark.slow
@pytest.mark.usefixtures("fake_model")
def test_two_processes_that_are_killed_end_where_one_does(tmp_path: Path, environment: dict[str, str]) -> None:
    """Both are killed while they draw, then while they train."""
    alone, killed, here = tmp_path / "alone", tmp_path / "killed", Path(__file__).parent
    settings: dict[str, Any] = {"rounds": 1, "bf16": False, "pairing": "either", "threshold": 0.0, "epochs": 20}
    play(alone, **settings)
    config = tmp_path / "align.toml"
    wanted = SMALL | settings | {"plugin": [str(here / "align_fake.py")], "out": str(killed)}
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in wanted.items()))
    paths = os.pathsep.join((str(here), environment["PYTHONPATH"]))
    home = environment | {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
    command = (sys.executable, *LAUNCH, "-m", "hermes", "align", "--config", str(config), "--batch-draw", "1")
    deaths = 0
    for moment in (*TOGETHER, None):
        process = subprocess.Popen(command, env=home, stderr=subprocess.PIPE)
        while process.poll() is None and not (moment and any(killed.glob(moment))):
            time.sleep(0.002)
        if process.poll() is None:
            everyone = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for one in everyone:
                one.kill()
            deaths += 1
        said = process.communicate(timeout=240)[1].decode()
    assert process.returncode == 0, said
    assert deaths == 2
    for path in ("round-1/candidates.jsonl", "round-1/preferences.jsonl"):
        assert (killed / path).read_bytes() == (alone / path).read_bytes()
    for number in (0, 1):
        ours, theirs = (
            json.loads((folder / f"round-{number}" / "evaluation" / "results.json").read_text())
            for folder in (killed, alone)
        )
        assert (ours["results"], ours["gap"]) == (theirs["results"], theirs["gap"])
    ours, theirs = (load_file(folder / "round-1" / "checkpoint" / "model.safetensors") for folder in (killed, alone))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-3, abs=1e-4)
