"""Training on the continuous side: micro-batches change nothing, K and seeds do what they say, the sums are logged."""

from pathlib import Path

import pytest
import torch

from hermes.align.losses.likelihoods import PairBatches, TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.steplog import TrainingReport
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.flow.adapter import FlowModel
from hermes.harness.models.flow.latents import LatentCoder
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.tiny.packing import SPECIALS
from hermes.harness.models.tiny.tokenizer_image import to_picture
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Shape
from hermes.harness.records.images import ImageHandle

SETTINGS = TrainSettings(
    lr=1e-3, batch_size=4, micro_batch=4, epochs=2, replay=0.0, replay_batch=1, bf16=False, warmup=0.0, masks=3
)


def flow_model() -> FlowModel:
    torch.manual_seed(0)
    text = TextTokenizer([*SPECIALS, "a", "red", "blue", "circle", "square", "and"])
    model = FlowModel("small", text, LatentCoder(), FlowTransformer(Shape(len(text), 32, 2, 2, codes=0)))
    torch.nn.init.normal_(model.transformer.get_parameter("leave.2.weight"), std=0.1)
    return model


def image(seed: int) -> ImageHandle:
    return ImageHandle(to_picture(torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(seed))))


def pairs() -> list[TrainPair]:
    """Pairs of either side and of both, one of them with a plan."""
    found = []
    for number in range(6):
        picture, prompt = image(number), ("a red circle", "a blue square and a circle")[number % 2]
        plan = "a red circle" if number == 3 else None
        und = tuple(LikelihoodItem("text", "a", picture, text) for text in ("a red circle", "a blue"))
        gen = tuple(LikelihoodItem("image", prompt, image(20 + 2 * number + k), plan=plan) for k in (0, 1))
        found.append(TrainPair(str(number), und if number != 1 else None, gen if number != 2 else None))  # type: ignore[arg-type]
    return found


def trained(folder: Path, settings: TrainSettings) -> tuple[FlowModel, TrainingReport]:
    model = flow_model()
    folder.mkdir()
    return model, train(model, pairs(), [], settings, folder)


def test_accumulated_micro_batches_end_where_whole_batches_do(tmp_path: Path) -> None:
    whole, report = trained(tmp_path / "whole", SETTINGS)
    single, _ = trained(tmp_path / "single", SETTINGS.model_copy(update={"micro_batch": 1}))
    start = flow_model().transformer.state_dict()
    for (name, one), other in zip(
        whole.transformer.state_dict().items(), single.transformer.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)
    assert any(not torch.equal(start[name], value) for name, value in whole.transformer.state_dict().items())
    assert report.mask_noise is not None
    assert report.mask_noise > 0


def test_the_first_loss_is_that_of_policy_and_reference_under_one_noise(tmp_path: Path) -> None:
    """Two sides of ln 2 a pair that has both, less for those of one; the anchor apart."""
    folder = tmp_path / "run"
    trained(folder, SETTINGS.model_copy(update={"anchor": 0.0, "batch_size": 6, "micro_batch": 6}))
    first = (folder / "train.jsonl").read_text().splitlines()[0]
    assert f'"loss": {(4 * 2 + 2) / 6 * 0.6931471806:.4f}' in first


@pytest.mark.parametrize("draws", [1, 4])
def test_winner_and_loser_of_a_pair_share_time_and_noise_in_an_epoch_and_not_across(draws: int, tmp_path: Path) -> None:
    model = flow_model()
    model.masks = draws
    batches = PairBatches(model, pairs(), 5, tmp_path)
    winner, loser, later = batches.seeded(0, 2, 0), batches.seeded(0, 3, 0), batches.seeded(0, 2, 1)
    rows = model.collate([winner, loser, later]).rows
    noised = (rows.time > 0).sum(1)
    assert noised.tolist() == [36 * draws] * 3
    times = [row[row > 0] for row in rows.time]
    assert torch.equal(times[0], times[1])
    assert not torch.equal(times[0], times[2])
    noise = [
        rows.latent[row][rows.time[row] > 0] + (1 - times[row])[:, None] * rows.velocity[row][rows.time[row] > 0]
        for row in range(3)
    ]
    torch.testing.assert_close(noise[0], noise[1])
