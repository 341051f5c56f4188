"""RegMean: what a layer is fitted to, what is read of it, and a round that keeps how texts are read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel, pictures
from torch import Tensor, nn

import hermes
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.pairs.replay import shapes_lessons
from hermes.align.settings import TrainSettings
from hermes.align.training import trainer
from hermes.align.training.regmean import Reading, dealt, fit, fitted_layers, joint, put
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

SETTINGS = TrainSettings(
    objective="gen",
    side_loss="sft",
    lr=1e-3,
    epochs=2,
    batch_size=4,
    replay_batch=4,
    replay=0.0,
    warmup=0.0,
    bf16=False,
    checkpoint_every=2,
)


def one(value: float) -> Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


@pytest.mark.parametrize(("weight", "wanted"), [(1.0, 3.0), (3.0, 2.5), (0.0, 4.0)])
def test_one_number_ends_between_start_and_end(weight: float, wanted: float) -> None:
    """By hand: the minimum of w (W - 2)^2 + (W - 4)^2 is (2 w + 4) / (w + 1)."""
    assert fit(one(2.0), one(4.0), one(1.0), one(1.0), weight).item() == pytest.approx(wanted, abs=1e-5)


def test_each_direction_goes_to_the_kind_that_reads_it() -> None:
    start, end = torch.full((2, 3), 1.0), torch.full((2, 3), 5.0)
    texts, images = (torch.diag(torch.tensor(row, dtype=torch.float64)) for row in ([2.0, 0, 0], [0, 3.0, 0]))
    found = fit(start, end, texts, images, 1.0)
    expected = torch.tensor([[1.0, 5.0, 5.0]] * 2, dtype=torch.float64)  # the third is read by neither, and stays
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(fit(start, end, torch.zeros(3, 3), torch.zeros(3, 3), 1.0), end)


def test_the_fit_is_the_least_squares_solution_over_what_was_read() -> None:
    """Moments that are shrunk off the diagonal are those of smaller rows and of some along the axes."""
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.randn(4, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    texts, images = (torch.randn(rows, 6, generator=generator, dtype=torch.float64) for rows in (50, 70))
    found = fit(start, end, texts.T @ texts / 50, images.T @ images / 70, 0.3)
    texts, images = (
        (share / len(read)) ** 0.5 * torch.cat([0.9**0.5 * read, 0.1**0.5 * read.square().sum(0).sqrt().diag()])
        for share, read in ((0.3, texts), (1.0, images))
    )
    rows, aims = torch.cat([texts, images]), torch.cat([texts @ start.T, images @ end.T])
    torch.testing.assert_close(found, torch.linalg.lstsq(rows, aims).solution.T, rtol=1e-5, atol=1e-5)


class Blocks(nn.Module):
    """Two blocks, of whose layers one is frozen and one has the weight of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False)) for _ in range(2))
        self.head = nn.Linear(3, 3, bias=False)
        self.blocks[0][1].weight.requires_grad_(False)  # type: ignore[index, union-attr]
        self.blocks[1][1].weight = self.head.weight  # type: ignore[index, union-attr]


def test_what_is_fitted_are_trained_layers_of_blocks_with_weights_of_their_own() -> None:
    assert list(fitted_layers(Blocks())) == ["blocks.0.0", "blocks.1.0"]
    with pytest.raises(HermesError, match=r"^regmean: this model has no trained linear layers in blocks; leave it out"):
        fitted_layers(FakeModel().module)


def test_the_widest_layers_are_dealt_first() -> None:
    layers = {str(place): nn.Linear(width, 1) for place, width in enumerate([2, 8, 2, 8, 2, 2])}
    assert dealt(layers, 2) == [["1", "0", "4"], ["3", "2", "5"]]
    assert dealt({}, 2) == [[], []]


@pytest.mark.parametrize("bias", [True, False])
def test_moments_are_the_means_over_all_positions_that_were_read(bias: bool) -> None:
    layer = nn.Linear(3, 2, bias=bias)
    first, second = torch.randn(2, 5, 3), torch.randn(4, 3)
    reading = Reading({"it": layer})
    with reading.listening(), torch.autocast("cpu", torch.bfloat16):
        layer(first)
        layer(input=second)
    layer(1e6 * second)  # nobody listens
    rows = torch.cat([first.flatten(0, 1), second])
    rows = torch.cat([rows, torch.ones(14, 1)], 1) if bias else rows
    found = reading.moments()["it"]
    torch.testing.assert_close(found, (rows.T @ rows / 14).double(), rtol=1e-5, atol=1e-6)


def test_a_matrix_goes_into_a_layer_and_comes_out_of_it() -> None:
    for bias in (True, False):
        layer, other = nn.Linear(3, 2, bias=bias), nn.Linear(3, 2, bias=bias)
        put(other, joint(layer).double())
        assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), other.parameters(), strict=True))


def winners() -> list[TrainPair]:
    """Grey grids, which the model would never draw."""
    images = [ImageHandle(image.resize((48, 48))) for image in pictures(8)]
    return [
        TrainPair(f"item-{k}", None, (LikelihoodItem("image", f"draw {k}", image), None), None)
        for k, image in enumerate(images)
    ]


def ended(folder: Path, **changes: Any) -> Any:
    model = hermes.load_model("hermes-tiny", "cpu")
    train(model, winners(), shapes_lessons(80, 1), SETTINGS.model_copy(update=changes), folder)
    return model


def told(model: Any, items: list[LikelihoodItem]) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.module(model.collate(model.prepare(items)))[0]
    return found


def weights(model: Any) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.module.parameters()])


def test_texts_come_out_as_before_and_images_as_after(tmp_path: Path) -> None:
    before = hermes.load_model("hermes-tiny", "cpu")
    plain, kept = ended(tmp_path / "plain"), ended(tmp_path / "kept", regmean=1.0)
    texts = [item for item in shapes_lessons(80, 2) if item.kind == "text"]
    images = [pair.gen[0] for pair in winners() if pair.gen]

    def apart(one: Any, other: Any, items: list[LikelihoodItem]) -> float:
        return float((told(one, items) - told(other, items)).abs().mean())

    assert apart(kept, before, texts) < 0.5 * apart(plain, before, texts)
    gained = [float((told(model, images) - told(before, images)).mean()) for model in (plain, kept)]
    assert gained[1] > 0.5 * gained[0] > 0


def test_micro_batches_change_nothing_and_an_interrupted_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ended(tmp_path / "whole", regmean=0.5)
    expected, single = weights(model), ended(tmp_path / "single", regmean=0.5, micro_batch=1)
    for name in fitted_layers(model.module):
        one, other = (found.module.get_parameter(f"{name}.weight") for found in (single, model))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)
    real = trainer.learning_rate

    def dying(step: int, *rest: Any) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return real(step, *rest)

    monkeypatch.setattr(trainer, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        ended(tmp_path / "killed", regmean=0.5)
    monkeypatch.undo()
    assert torch.equal(weights(ended(tmp_path / "killed", regmean=0.5)), expected)


def test_a_fit_that_is_no_number_writes_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "fit", lambda start, end, *_: torch.full_like(end, torch.nan))
    with pytest.raises(HermesError, match="weights are not finite"):
        ended(tmp_path, regmean=1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"lora_rank": 2}, "regmean fits whole weights, not LoRA's"), ({"objective": "und"}, "takes back what objective")],
)
def test_what_does_not_go_with_it_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainSettings(regmean=1.0, **settings)
