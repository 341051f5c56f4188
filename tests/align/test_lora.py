"""LoRA in training: the reference is the adapter off, only the adapter moves, it is stored, merged, and read again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_emu3
import tiny_janus
import tiny_liquid
import tiny_mmada
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file

import hermes
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.lora import block_layers
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

SETTINGS = TrainSettings(
    lr=5e-3, epochs=3, batch_size=2, replay=0.0, anchor=0.0, bf16=False, lora_rank=2, checkpoint_every=1
)


@pytest.fixture(scope="module")
def janus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_janus.save(tmp_path_factory.mktemp("checkpoints") / "tiny-janus")


def pairs() -> list[TrainPair]:
    from align_fake import pictures

    images = [ImageHandle(image.resize((48, 48))) for image in pictures(9)]
    made = []
    for k in range(3):
        real, winner, loser = images[3 * k : 3 * k + 3]
        und = [LikelihoodItem("text", "what is it?", real, text) for text in ("a red circle", "a blue square")]
        gen = [LikelihoodItem("image", f"draw {k}", image) for image in (winner, loser)]
        made.append(TrainPair(f"item-{k}", (und[0], und[1]), (gen[0], gen[1])))
    return made


def state(model: object) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


@pytest.mark.parametrize("name", ["hermes-tiny", "janus"])
def test_only_low_rank_updates_of_the_blocks_move(name: str, janus: Path, tmp_path: Path) -> None:
    reference = str(janus) if name == "janus" else name
    model = hermes.load_model(reference, "cpu")
    before, layers = state(model), set(block_layers(model.network))
    trained_before = {n for n, weight in model.module.named_parameters() if weight.requires_grad}
    report = train(model, pairs(), [], SETTINGS, tmp_path)
    after = state(model)
    assert set(before) == set(after)
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved == {f"{layer}.weight" for layer in layers}
    for n in moved:
        assert int(torch.linalg.matrix_rank(after[n] - before[n], atol=1e-5)) <= 2
    assert {n for n, weight in model.module.named_parameters() if weight.requires_grad} == trained_before
    assert report.agree_und == 1.0
    assert report.loss < report.loss_first
    again = hermes.load_model(reference, "cpu")
    merge_adapter(again.network, str(tmp_path / "adapter"), "test")
    for n, value in state(again).items():
        torch.testing.assert_close(value, after[n], atol=1e-6, rtol=1e-5)


def test_the_stored_adapter_is_small_and_loads_by_flag(janus: Path, tmp_path: Path) -> None:
    model = hermes.load_model(str(janus), "cpu")
    train(model, pairs(), [], SETTINGS, tmp_path)
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("lora_" in name for name in stored)
    again = hermes.load_model(str(janus), "cpu", adapter=str(tmp_path / "adapter"))
    for name, value in state(again).items():
        torch.testing.assert_close(value, model.network.state_dict()[name], atol=1e-6, rtol=1e-5)


def test_a_killed_training_goes_on(janus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hermes.align.training import trainer

    whole = hermes.load_model(str(janus), "cpu")
    train(whole, pairs(), [], SETTINGS, tmp_path / "whole")
    real_rate = trainer.learning_rate

    def dying(step: int, steps: int, settings: TrainSettings) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return real_rate(step, steps, settings)

    monkeypatch.setattr(trainer, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        train(hermes.load_model(str(janus), "cpu"), pairs(), [], SETTINGS, tmp_path / "killed")
    monkeypatch.undo()
    again = hermes.load_model(str(janus), "cpu")
    train(again, pairs(), [], SETTINGS, tmp_path / "killed")
    for name, value in state(whole).items():
        assert torch.equal(value, again.network.state_dict()[name])


def test_a_base_in_bfloat16_ends_in_the_same_weights_without_copies(
    janus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What casts the layers, they themselves or each pass, changes no bit; only a pass keeps what it has cast."""
    from hermes.align.training import trainer

    found, copies = [], []
    real = trainer._Training._passes

    def noted(training: Any, *rest: Any) -> Any:
        own = {weight.untyped_storage().data_ptr() for weight in training.inner.parameters()}
        layers = {weight.shape for name, weight in training.inner.named_parameters() if ".base_layer.weight" in name}
        layers |= {shape[::-1] for shape in layers}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.dtype == torch.bfloat16 and tensor.shape in layers:
                copies[-1] += tensor.untyped_storage().data_ptr() not in own
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            return real(training, *rest)

    monkeypatch.setattr(trainer._Training, "_passes", noted)
    for half in (False, True):
        copies.append(0)
        model = hermes.load_model(str(janus), "cpu")
        settings = SETTINGS.model_copy(update={"bf16": True, "lora_half": half, "steps": 2, "lr": 1e-3})
        train(model, pairs(), [], settings, tmp_path / str(half))
        found.append(state(model))
    for n, value in found[0].items():
        assert value.dtype == found[1][n].dtype
        assert torch.equal(value, found[1][n]), n
    assert copies[1] < copies[0] / 4  # a few activations have a layer's shape


def test_a_base_in_bfloat16_needs_arithmetic_in_bfloat16(janus: Path, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="lora_half"):
        train(
            hermes.load_model(str(janus), "cpu"), pairs(), [], SETTINGS.model_copy(update={"lora_half": True}), tmp_path
        )


def test_layers_that_are_not_there_are_one_line(janus: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"lora_targets": ("no_such_layer",)})
    with pytest.raises(HermesError, match="lora_targets"):
        train(hermes.load_model(str(janus), "cpu"), pairs(), [], settings, tmp_path)
    with pytest.raises(HermesError, match="no linear layers in blocks"):
        block_layers(torch.nn.Linear(2, 2))


def test_averaging_whole_weights_does_not_go_with_it() -> None:
    with pytest.raises(ValueError, match="average"):
        TrainSettings(lora_rank=2, average=0.5)


@pytest.mark.parametrize("name", ["janus"])
def test_recomputed_activations_change_nothing(name: str, janus: Path, tmp_path: Path) -> None:
    found = []
    for on in (False, True):
        model = hermes.load_model(str(janus), "cpu")
        settings = TrainSettings(lr=1e-3, epochs=2, batch_size=2, replay=0.0, bf16=False, checkpointing=on)
        train(model, pairs(), [], settings, tmp_path / str(on))
        found.append(state(model))
    for n, value in found[0].items():
        torch.testing.assert_close(value, found[1][n], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [tiny_emu3.save, tiny_mmada.save, tiny_liquid.save], ids=["emu3", "mmada", "liquid"])
def test_lora_around_the_head_counts_on_both_sides(make: Callable[[Path], Path], tmp_path: Path) -> None:
    model: Any = hermes.load_model(str(make(tmp_path)), "cpu")
    from align_fake import pictures

    real = ImageHandle(pictures(1)[0].resize((48, 48)))
    items = [LikelihoodItem("text", "what is it?", real, "a cat"), LikelihoodItem("image", "a cat", real)]
    batch = model.collate(model.prepare(items))
    with torch.no_grad():
        before = model.module(batch)[0]
        inject_adapter_in_model(LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False), model.network)
        after = model.module(batch)[0]
    assert ((before - after).abs() > 1e-3).all()
