"""`hermes align` killed with SIGKILL in every phase of a round: the same command ends where an undisturbed one does."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    "answers/*/candidate-images-*/judgements/self-*/judgements.0.jsonl",
    "round-1/training/states/*[0-9]",
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


@pytest.mark.long
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
    assert deaths >= 2
    process = begin(killed, environment)
    assert process.wait(timeout=240) == 0, process.communicate()[1]
    assert list(outcome(killed)) == list(outcome(undisturbed))
