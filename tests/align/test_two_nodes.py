"""Self-play on two "nodes" of two processes, two launchers on this machine: one process is slower than a time limit."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_janus
import tiny_showo
import torch
from safetensors.torch import load_file

from hermes.harness.system.processes import TIMEOUT

NODES, PROCESSES = 2, 4
LIMIT, SLOW = 20, 40
"""Seconds: what a collective may take, and what the comparison of captions takes in one process."""
SETTINGS = """
rounds = 2
items = 8
n = 2
epochs = 1
batch_size = 4
micro_batch = 1
replay_batch = 2
data = "shapes"
recipe = "none"
similarity = "minilm"
critic = "theirs-coin"
judge = "theirs-coin"
threshold = 0.0
pairing = "either"
bf16 = false
caption_tokens = 4
eval_limit = 2
lr = 1e-3
device = "cpu"
"""
SLOWLY = f"""
import time
from hermes.align.pairs import closeness
from hermes.harness.system.processes import current
fast = closeness.similarity
def slow(name, device):
    if current().rank == 1:
        time.sleep({SLOW})
    return fast(name, device)
closeness.similarity = slow
from theirs.coin import Coin
class Slowly(Coin):
    "What a plug-in must offer."
"""
MODELS = {"show-o": tiny_showo.make_checkpoint, "janus": tiny_janus.save}
WEIGHTS = {"show-o": "pytorch_model.safetensors", "janus": "model.safetensors"}


def launch(folder: Path, model: Path, environment: dict[str, str], *more: str) -> list["subprocess.Popen[str]"]:
    """One launcher for each node."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder.with_suffix(".toml")
    config.write_text(SETTINGS)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--num_processes", str(PROCESSES), "--num_machines", str(NODES)]
    command += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    align = ["-m", "hermes", "align", "--config", str(config), "--model", str(model), "--out", str(folder), *more]
    nodes = [[*command, "--machine_rank", str(rank), *align] for rank in range(NODES)]
    return [subprocess.Popen(node, env=environment, stderr=subprocess.PIPE, text=True) for node in nodes]


def ended(nodes: list["subprocess.Popen[str]"]) -> str:
    said = [node.communicate(timeout=900)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * NODES, said[0][-3000:] + said[1][-3000:]
    return said[0]


@pytest.mark.long
@pytest.mark.parametrize("name", list(MODELS))
def test_a_phase_may_take_longer_than_a_collective(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "model").mkdir()
    model = MODELS[name](tmp_path / "model")
    plugin = tmp_path / "slowly.py"
    plugin.write_text(SLOWLY)
    home: dict[str, Any] = environment | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    ended(launch(tmp_path / "undisturbed", model, home))
    said = ended(launch(tmp_path / "slow", model, home | {TIMEOUT: str(LIMIT)}, "--plugin", os.fspath(plugin)))
    assert "waits for process" not in said  # a minute has not passed
    for number in (1, 2):
        ours, theirs = (
            load_file(tmp_path / run / f"round-{number}" / "checkpoint" / WEIGHTS[name])
            for run in ("slow", "undisturbed")
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
