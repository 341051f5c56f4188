"""The check that a training begins at policy = reference: rounding passes, other weights and wavering do not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel, Table
from test_trainer import SETTINGS, lessons, pairs, weights
from torch import Tensor

from hermes.align.losses.likelihoods import PairBatches, TrainPair
from hermes.align.training import optimizers, trainer
from hermes.align.training.start import FINE, noise
from hermes.align.training.trainer import train
from hermes.harness.system.errors import HermesError

ONE = SETTINGS.model_copy(update={"steps": 1, "bf16": True})


class Large(Table):
    """As many tokens as a picture of 512 pixels has, whose sum each kernel rounds in its own way, by 0.2 nats."""

    def __init__(self, rounds: float = 0.2) -> None:
        super().__init__()
        self.rounds = rounds

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        log_probs, counts = super().forward(batch)
        kernel = torch.Generator().manual_seed(2 * len(counts) + torch.is_grad_enabled())
        return log_probs * 128 + self.rounds * torch.randn(len(counts), generator=kernel), counts * 128


def test_noise_of_a_fifth_of_a_nat_passes_in_bfloat16_alone(tmp_path: Path) -> None:
    train(FakeModel(Large()), pairs(), lessons(), ONE, tmp_path / "bf16")
    exact = ONE.model_copy(update={"bf16": False})
    with pytest.raises(HermesError, match=r"differ by 0\.2"):
        train(FakeModel(Large()), pairs(), lessons(), exact, tmp_path / "float32")


@pytest.mark.parametrize(("rounds", "off"), [(0.2, 1.0), (0.0, 0.1)])
@pytest.mark.parametrize("objective", ["sum", "product"])
def test_a_stale_reference_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: float, off: float, objective: str
) -> None:
    """Whose images were a nat likelier, or a tenth of one where the arithmetic is quiet."""
    real = trainer._Training._reference

    def stale(training: Any) -> Tensor:
        table = real(training)
        table[:, 2:] += off
        return table

    monkeypatch.setattr(trainer._Training, "_reference", stale)
    settings = ONE.model_copy(update={"objective": objective})
    with pytest.raises(HermesError, match="at policy = reference"):
        train(FakeModel(Large(rounds)), pairs(), lessons(), settings, tmp_path)


@pytest.mark.parametrize("micro_batch", [1, 19])
def test_a_few_items_that_rounding_moves_far_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batch: int
) -> None:
    """As an unlikely picture in bfloat16, in a batch of another shape."""
    real = trainer._Training._reference

    def rounded(training: Any) -> Tensor:
        table = real(training)
        table[:, 2, 0] += 0.5
        return table

    monkeypatch.setattr(trainer._Training, "_reference", rounded)
    settings = ONE.model_copy(update={"batch_size": 19, "micro_batch": micro_batch})
    train(FakeModel(Large(0.0)), pairs(), lessons(), settings, tmp_path)


def test_a_likelihood_that_wavers_does_not_pass_in_bfloat16(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="between two calls"):
        train(FakeModel(Large(5.0)), pairs(), lessons(), ONE, tmp_path)


def test_clipping_can_be_switched_off(tmp_path: Path) -> None:
    """A clip that never clips and none at all are one thing; the default is another."""
    ends = []
    for clip in (0.0, 1e9, 1.0):
        model = FakeModel()
        train(model, pairs(), lessons(), SETTINGS.model_copy(update={"clip": clip}), tmp_path / str(clip))
        ends.append(weights(model))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_moments_in_8_bits_without_their_library_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    with pytest.raises(HermesError, match="pip install torchao"):
        train(FakeModel(), pairs(), lessons(), ONE.model_copy(update={"optimizer": "adamw8bit"}), tmp_path)


def test_moments_in_8_bits_are_resumed_and_end_near_those_in_32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchao")
    torch.compiler.set_stance("force_eager")
    settings = SETTINGS.model_copy(update={"optimizer": "adamw8bit", "checkpoint_every": 1})

    def wide() -> FakeModel:
        table = Table()
        table.context = torch.nn.Parameter(table.context.detach().repeat(64, 1))  # 4096 numbers or more are quantised
        return FakeModel(table)

    def end(name: str, **more: Any) -> Tensor:
        model = wide()
        train(model, pairs(), lessons(), settings.model_copy(update=more), tmp_path / name)
        return weights(model)

    whole, exact = end("whole"), end("exact", optimizer="adamw")
    real = trainer.learning_rate

    def dying(step: int, *rest: Any) -> float:
        if step == 4:
            raise KeyboardInterrupt
        return real(step, *rest)

    monkeypatch.setattr(trainer, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        end("killed")
    monkeypatch.setattr(trainer, "learning_rate", real)
    assert torch.equal(end("killed"), whole)
    assert not torch.equal(whole, exact)
    assert (whole - exact).norm() < 0.2 * (exact - weights(wide())).norm()
    torch.compiler.set_stance("default")


def test_the_noise_of_a_side_is_known_although_the_first_pairs_lack_it(tmp_path: Path) -> None:
    data = [TrainPair(one.id, one.und, None) for one in pairs(5)] + [TrainPair("last", None, pairs(1)[0].gen)]
    model = FakeModel()
    batches = PairBatches(model, data, 0, tmp_path)
    found = noise(batches, model.module, range(len(data)), torch.device("cpu"), FINE)
    assert set(found) == {"und", "gen"}
