"""A training with a number that is not finite stops in one line, in every process, and leaves nothing in the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from align_fake import FakeModel, Table
from test_trainer import SETTINGS, lessons, pairs, weights

from hermes.align.training.trainer import train
from hermes.harness.system.errors import HermesError

SCRIPT = """
import sys
from pathlib import Path
from align_fake import FakeModel
from test_trainer import SETTINGS, pairs
from hermes.align.training.trainer import train
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
try:
    train(FakeModel(), pairs(), (), SETTINGS.model_copy(update={"lr": 1e37, "replay": 0.0}), Path(sys.argv[1]))
except HermesError as error:
    (Path(sys.argv[1]) / f"said.{current().rank}").write_text(str(error))
"""


def test_the_first_loss_that_is_not_finite_stops_it_before_the_weights_change(tmp_path: Path) -> None:
    wild = SETTINGS.model_copy(update={"lr": 1e37, "warmup": 0.0, "checkpoint_every": 1})
    with pytest.raises(
        HermesError, match=r"stopped at step \d of 9: the (loss|gradient) is (nan|inf).* lower --lr \(it is 1e\+37\)"
    ):
        train(FakeModel(), pairs(), lessons(), wild, tmp_path)
    assert list(tmp_path.iterdir()) == []
    model, other = FakeModel(), FakeModel()
    train(model, pairs(), lessons(), SETTINGS, tmp_path)
    train(other, pairs(), lessons(), SETTINGS, tmp_path / "undisturbed")
    assert torch.equal(weights(model), weights(other))


def test_a_gradient_that_is_not_finite_stops_it_though_the_loss_is(tmp_path: Path) -> None:
    model = FakeModel()
    before = weights(model).clone()
    model.module.position.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(HermesError, match=r"step 1 of 9: the gradient is (nan|inf)"):
        train(model, pairs(), lessons(), SETTINGS, tmp_path)
    assert torch.equal(weights(model), before)


def test_a_rate_that_no_weight_can_take_stops_it_too(tmp_path: Path) -> None:
    wild = SETTINGS.model_copy(update={"lr": 1e38, "warmup": 0.0})
    with pytest.raises(HermesError, match=r"cannot be taken .*overflow.* lower --lr \(it is 1e\+38\)"):
        train(FakeModel(), pairs(), lessons(), wild, tmp_path)


def test_weights_that_the_last_step_spoils_are_not_kept(tmp_path: Path) -> None:
    wild = SETTINGS.model_copy(update={"lr": 3e37, "warmup": 0.0, "steps": 1, "weight_decay": 10.0})
    with pytest.raises(HermesError, match="after its last step: weights are not finite"):
        train(FakeModel(), pairs(), lessons(), wild, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_that_is_not_finite_is_named(tmp_path: Path) -> None:
    table = Table()
    with torch.no_grad():
        table.position[0] = torch.nan
    with pytest.raises(HermesError, match=r"did not start: .* of pair item-0 \(und_winner\) is nan; check the model"):
        train(FakeModel(table), pairs(), (), SETTINGS, tmp_path)


def test_a_micro_batch_without_memory_is_halved_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = FakeModel()
    train(alone, pairs(), lessons(), SETTINGS, tmp_path / "alone")
    forward, most = Table.forward, 8

    def small(self: Table, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        if len(batch["context"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has")
        return forward(self, batch)

    monkeypatch.setattr(Table, "forward", small)
    short = FakeModel()
    train(short, pairs(), lessons(), SETTINGS, tmp_path / "short")
    torch.testing.assert_close(weights(short), weights(alone), rtol=1e-4, atol=1e-5)
    most = 0
    with pytest.raises(
        HermesError, match="out of memory on cuda:0 in training, with 1 pairs at once; give --checkpoin"
    ):
        train(FakeModel(), pairs(), lessons(), SETTINGS, tmp_path / "none")


@pytest.mark.slow
def test_all_processes_stop(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    here = str(Path(__file__).parent)
    paths = os.pathsep.join((here, os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = {(tmp_path / f"said.{rank}").read_text() for rank in (0, 1)}
    assert len(said) == 1
    assert "training stopped at step" in said.pop()
    assert not (tmp_path / "states").exists()


def test_what_the_log_holds_is_json(tmp_path: Path) -> None:
    train(FakeModel(), pairs(), lessons(), SETTINGS, tmp_path)
    for line in (tmp_path / "train.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
