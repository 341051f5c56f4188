"""Two processes train to the weights of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import sys
from pathlib import Path
from align_fake import FakeModel
from test_trainer import SETTINGS, lessons, pairs
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.training.trainer import train
from hermes.harness.system.processes import current
data = pairs()
data[3] = TrainPair("half", data[3].und, None)
model, folder = FakeModel(), Path(sys.argv[1])
report = train(model, data, lessons(), SETTINGS.model_copy(update={"micro_batch": 2, "hold": 1.0}), folder)
if current().main:
    model.save(folder / "saved")
    (folder / "report.json").write_text(report.model_dump_json())
"""


def run(folder: Path, processes: int, environment: dict[str, str]) -> tuple[dict[str, torch.Tensor], str]:
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    here = os.pathsep.join((str(Path(__file__).parent), environment["PYTHONPATH"]))
    home = environment | {"PYTHONPATH": here, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launcher, str(script), str(folder)], env=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return load_file(folder / "saved" / "model.safetensors"), (folder / "train.jsonl").read_text()


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path: Path, environment: dict[str, str]) -> None:
    alone, alone_log = run(tmp_path / "one", 1, environment)
    together, log = run(tmp_path / "two", 2, environment)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-5)
    assert len(log.splitlines()) == len(alone_log.splitlines()) == 9
