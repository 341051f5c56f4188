"""Training: batch and micro-batch invariance, exact resume, the check at step 0, and what the report says."""

import json
from pathlib import Path

import pytest
import torch
from align_fake import FakeModel, Table, pictures

from hermes.align.losses.likelihoods import PairBatches, TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training import trainer
from hermes.align.training.ema import MovingAverage
from hermes.align.training.schedule import learning_rate, plan
from hermes.align.training.trainer import departure, train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

SETTINGS = TrainSettings(
    objective="sum",
    lr=0.02,
    epochs=3,
    batch_size=8,
    micro_batch=8,
    replay_batch=4,
    checkpoint_every=2,
    warmup=0.2,
    bf16=False,
)


WORDS = ("sharp", "blurred")


def pairs(count: int = 19) -> list[TrainPair]:
    images = [ImageHandle(image) for image in pictures(3 * count)]
    made = []
    for k in range(count):
        real, winner, loser = images[3 * k : 3 * k + 3]
        und = tuple(LikelihoodItem("text", "caption this", real, f"{word} thing {k}") for word in WORDS)
        gen = tuple(LikelihoodItem("image", f"draw {k}", image) for image in (winner, loser))
        made.append(TrainPair(f"item-{k}", und, gen))  # type: ignore[arg-type]
    return made


def lessons() -> list[LikelihoodItem]:
    return [LikelihoodItem("text", "say", ImageHandle(image), f"word {k}") for k, image in enumerate(pictures(6, 9))]


def weights(model: FakeModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.module.parameters()])


def trained(tmp_path: Path, settings: TrainSettings = SETTINGS, data: list[TrainPair] | None = None) -> FakeModel:
    model = FakeModel()
    train(model, data or pairs(), lessons(), settings, tmp_path)
    return model


@pytest.mark.parametrize("objective", ["sum", "coupled"])
def test_training_raises_both_margins(tmp_path: Path, objective: str) -> None:
    settings = SETTINGS.model_copy(update={"objective": objective, "anchor": 0.0})
    report = train(FakeModel(), pairs(), lessons(), settings, tmp_path)
    assert report.pairs == 19
    assert report.steps == 9
    assert report.agree_und is not None
    assert report.agree_und > 0.9
    assert report.agree_gen is not None
    assert report.agree_gen > 0.8
    assert report.loss < report.loss_first


def test_the_first_loss_is_the_value_at_zero_margins(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"anchor": 0.0, "replay": 0.0})
    report = train(FakeModel(), pairs(), (), settings, tmp_path)
    assert report.loss_first == pytest.approx(2 * torch.log(torch.tensor(2.0)).item(), abs=1e-5)


def test_micro_batches_change_nothing(tmp_path: Path) -> None:
    whole = trained(tmp_path / "a", SETTINGS)
    single = trained(tmp_path / "b", SETTINGS.model_copy(update={"micro_batch": 1}))
    torch.testing.assert_close(weights(whole), weights(single), rtol=1e-4, atol=1e-5)


def test_batch_size_leaves_the_mean_loss_of_a_step_unchanged(tmp_path: Path) -> None:
    one_epoch = {"epochs": 1, "lr": 1e-12, "anchor": 0.0, "replay": 0.0, "weight_decay": 0.0}
    for size in (1, 19):
        settings = SETTINGS.model_copy(update={**one_epoch, "batch_size": size})
        report = train(FakeModel(), pairs(), (), settings, tmp_path / str(size))
        assert report.preference == pytest.approx(2 * torch.log(torch.tensor(2.0)).item(), abs=1e-5)


@pytest.mark.parametrize("stop_at", [1, 2, 5, 8])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    expected = trained(tmp_path / "whole")
    real_rate = trainer.learning_rate

    def dying(step: int, steps: int, settings: TrainSettings) -> float:
        if step == stop_at:
            raise KeyboardInterrupt
        return real_rate(step, steps, settings)

    monkeypatch.setattr(trainer, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed")
    monkeypatch.undo()
    again = trained(tmp_path / "killed")
    assert torch.equal(weights(expected), weights(again))
    logs = [(tmp_path / name / "train.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = trained(tmp_path)
    model = FakeModel()
    train(model, pairs(), lessons(), SETTINGS, tmp_path)
    assert torch.equal(weights(first), weights(model))


def test_a_state_of_other_pairs_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(HermesError, match="other settings or pairs"):
        trained(tmp_path, data=pairs(7))


def test_dropout_is_switched_off_for_policy_and_reference(tmp_path: Path) -> None:
    model = FakeModel(Table(dropout=0.5))
    report = train(model, pairs(), lessons(), SETTINGS, tmp_path)
    assert report.steps == 9


def test_a_model_whose_likelihoods_waver_is_refused(tmp_path: Path) -> None:
    class Noisy(Table):
        def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            log_probs, counts = super().forward(batch)
            return log_probs + torch.randn_like(log_probs), counts

    with pytest.raises(HermesError, match="policy = reference"):
        train(FakeModel(Noisy()), pairs(), lessons(), SETTINGS, tmp_path)


def test_mixed_precision_trains_from_the_same_start(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"bf16": True, "anchor": 0.0, "replay": 0.0})
    report = train(FakeModel(), pairs(), (), settings, tmp_path)
    assert report.loss_first == pytest.approx(2 * torch.log(torch.tensor(2.0)).item(), abs=1e-3)
    assert report.agree_und is not None
    assert report.agree_und > 0.9


def test_no_pairs_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="threshold"):
        train(FakeModel(), [], lessons(), SETTINGS, tmp_path)


def test_replay_needs_replay_data(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="replay data"):
        train(FakeModel(), pairs(), [], SETTINGS.model_copy(update={"objective": "replay"}), tmp_path)


def test_the_control_arm_takes_as_many_steps_and_no_preferences(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"objective": "replay"})
    report = train(FakeModel(), pairs(), lessons(), settings, tmp_path)
    assert report.steps == 9
    assert report.margin_und is None
    assert report.replay is not None


HOLD = {"hold": 3.0, "replay": 0.0}


def test_what_leaves_the_reference_costs_half_its_square_and_beyond_one_nat_its_length() -> None:
    ratios = torch.tensor([0.0, 0.4, -0.4, 1.0, -3.0], requires_grad=True)
    found = departure(ratios)
    assert found.tolist() == pytest.approx([0.0, 0.08, 0.08, 0.5, 2.5])
    found.sum().backward()
    assert ratios.grad is not None
    assert ratios.grad.tolist() == pytest.approx([0.0, 0.4, -0.4, 1.0, -1.0])


def test_held_texts_stay_nearer_to_the_reference(tmp_path: Path) -> None:
    def left(hold: float) -> float:
        base, settings = FakeModel(), SETTINGS.model_copy(update=HOLD | {"hold": hold})
        model = trained(tmp_path / str(hold), settings)
        batch = base.collate(base.prepare(lessons()))
        return float((model.module(batch)[0] - base.module(batch)[0]).detach().abs().mean())

    assert left(3.0) < 0.5 * left(0.0)


def test_the_first_step_finds_held_texts_where_they_were(tmp_path: Path) -> None:
    report = train(FakeModel(), pairs(), lessons(), SETTINGS.model_copy(update=HOLD), tmp_path)
    first = json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0])
    assert first["held"] == pytest.approx(0.0, abs=1e-9)
    assert first["texts"] == 4
    assert report.held is not None
    assert report.held > 0


def test_holding_in_micro_batches_changes_nothing(tmp_path: Path) -> None:
    whole = trained(tmp_path / "a", SETTINGS.model_copy(update=HOLD))
    single = trained(tmp_path / "b", SETTINGS.model_copy(update=HOLD | {"micro_batch": 1}))
    torch.testing.assert_close(weights(whole), weights(single), rtol=1e-4, atol=1e-5)


def test_images_are_not_held_and_nothing_is_without_hold(tmp_path: Path) -> None:
    image = LikelihoodItem("image", "draw", ImageHandle(pictures(1)[0]))
    settings = SETTINGS.model_copy(update=HOLD)
    assert train(FakeModel(), pairs(), [image], settings, tmp_path / "images").held is None
    assert train(FakeModel(), pairs(), lessons(), SETTINGS, tmp_path / "without").held is None


def test_averaging_ends_halfway_to_the_start(tmp_path: Path) -> None:
    start = weights(FakeModel())
    full = weights(trained(tmp_path / "full"))
    half = weights(trained(tmp_path / "half", SETTINGS.model_copy(update={"average": 0.5})))
    torch.testing.assert_close(half, (start + full) / 2)


def test_pairs_that_lack_a_side_are_trained_on_the_other(tmp_path: Path) -> None:
    data = pairs()
    data[0] = TrainPair("half", data[0].und, None)
    report = train(FakeModel(), data, lessons(), SETTINGS, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert sum(line["gen"] for line in lines) == 3 * 18
    assert sum(line["und"] for line in lines) == 3 * 19
    assert report.pairs == 19


def test_winner_and_loser_share_masks_and_epochs_do_not(tmp_path: Path) -> None:
    batches = PairBatches(FakeModel(), pairs(3), 1, tmp_path)
    winner, loser = (batches.seeded(0, slot, epoch=0)["mask"] for slot in (2, 3))
    assert winner == loser
    assert winner != batches.seeded(0, 2, epoch=1)["mask"]
    assert winner != batches.seeded(1, 2, epoch=0)["mask"]


def test_the_reference_table_holds_what_the_batches_give(tmp_path: Path) -> None:
    model = FakeModel()
    batches = PairBatches(model, pairs(5), 1, tmp_path)
    device = torch.device("cpu")
    table = batches.reference(model.module, range(5), epochs=2, chunk=2, device=device)
    for epoch in range(2):
        found, _ = batches.log_probs(model.module, [4, 0, 2], epoch, device)
        torch.testing.assert_close(table[epoch][:, [4, 0, 2]], found.detach())


def test_the_plan_visits_every_pair_once_an_epoch() -> None:
    steps = plan(19, 6, SETTINGS)
    assert [len(step.pairs) for step in steps] == [8, 8, 3] * 3
    for epoch in range(3):
        assert sorted(k for step in steps if step.epoch == epoch for k in step.pairs) == list(range(19))
    assert steps[0].pairs != steps[3].pairs
    assert [steps[k].replay for k in range(2)] == [(0, 1, 2, 3), (4, 5, 0, 1)]


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate(k, 20, SETTINGS) for k in range(21)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[20] == pytest.approx(0.0)


@pytest.mark.parametrize("stop_at", [1, 5])
def test_a_moving_average_is_resumed_and_takes_the_weights_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    settings = SETTINGS.model_copy(update={"ema": 0.7})
    expected = trained(tmp_path / "whole", settings)
    real_rate = trainer.learning_rate

    def dying(step: int, steps: int, settings: TrainSettings) -> float:
        if step == stop_at:
            raise KeyboardInterrupt
        return real_rate(step, steps, settings)

    monkeypatch.setattr(trainer, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", settings)
    monkeypatch.undo()
    assert torch.equal(weights(expected), weights(trained(tmp_path / "killed", settings)))
    plain, start = weights(trained(tmp_path / "plain")), weights(FakeModel())
    assert not torch.equal(weights(expected), plain)
    assert (weights(expected) - start).norm() < (plain - start).norm()


def test_a_moving_average_follows_its_recursion() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = MovingAverage(module, 0.75)
    for value in (4.0, 8.0):
        torch.nn.init.constant_(module.weight, value)
        average.update()
    average.apply()
    assert module.weight.item() == 0.75 * (0.75 * 0.0 + 0.25 * 4.0) + 0.25 * 8.0


def test_steps_end_the_training_whatever_epochs_say(tmp_path: Path) -> None:
    for steps in (2, 5, 11):
        settings = SETTINGS.model_copy(update={"steps": steps})
        report = train(FakeModel(), pairs(), lessons(), settings, tmp_path / str(steps))
        assert report.steps == steps
    found = plan(19, 6, SETTINGS.model_copy(update={"steps": 11}))
    assert [step.epoch for step in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]


def test_the_noise_of_masks_is_that_of_the_reference(tmp_path: Path) -> None:
    report = train(FakeModel(), pairs(), lessons(), SETTINGS, tmp_path / "a")
    batches = PairBatches(FakeModel(), pairs(), SETTINGS.seed, tmp_path)
    table = batches.reference(FakeModel().module, range(19), SETTINGS.epochs, 8, torch.device("cpu"))
    assert report.mask_noise == pytest.approx(float((table[:, 2] - table[:, 3]).std(0).mean()), rel=1e-5)
    assert report.mask_noise_und is None  # its texts are exact
    once = train(FakeModel(), pairs(), lessons(), SETTINGS.model_copy(update={"epochs": 1}), tmp_path / "b")
    assert once.mask_noise is None
    alone = [pair for pair in pairs() if pair.und and pair.gen][:1]
    report = train(FakeModel(), alone, [], SETTINGS.model_copy(update={"epochs": 7, "replay": 0.0}), tmp_path / "c")
    assert report.mask_noise_und is None  # though the deviation of equal numbers may be rounding


def test_smoothing_and_no_reference_train_too(tmp_path: Path) -> None:
    for name, update in (("a", {"smoothing": 0.1}), ("b", {"reference_free": True, "normalize": True})):
        report = train(FakeModel(), pairs(), lessons(), SETTINGS.model_copy(update=update), tmp_path / name)
        assert report.loss < report.loss_first


@pytest.mark.parametrize(("setting", "words"), [({"masks": 2}, "no masks"), ({"checkpointing": True}, "not offer")])
def test_what_the_model_does_not_offer_is_refused(tmp_path: Path, setting: dict, words: str) -> None:
    with pytest.raises(HermesError, match=words):
        trained(tmp_path, SETTINGS.model_copy(update=setting))


def test_a_state_of_other_images_under_the_same_names_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    data = pairs()
    first = data[0]
    assert first.gen is not None
    swapped = (first.gen[0], LikelihoodItem("image", first.gen[1].prompt, ImageHandle(pictures(1, 77)[0])))
    with pytest.raises(HermesError, match="other settings or pairs"):
        trained(tmp_path, data=[TrainPair(first.id, first.und, swapped), *data[1:]])
