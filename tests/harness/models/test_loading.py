"""Precision and LoRA adapters by flag: what they change, what a model does not take, and what does not fit."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny_janus
import torch
from peft import LoraConfig, get_peft_model

import hermes
from hermes.harness.models.adapters import merge_adapter, version_with
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, MissingExtra


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_janus.save(tmp_path_factory.mktemp("checkpoints") / "tiny-janus")


def lora(network: Any, folder: Path, **settings: Any) -> Any:
    """A LoRA adapter with random weights on the language model, saved; returns the network with it on."""
    torch.manual_seed(5)
    made = get_peft_model(network, LoraConfig(r=2, init_lora_weights=False, **settings))
    made.save_pretrained(folder)
    return made


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("adapters") / "lora"
    lora(hermes.load_model(str(folder), "cpu").network, made, target_modules=r".*language_model.*\.(q|v)_proj")
    return made


def drawn(model: Any) -> list[bytes]:
    prompts = ("a red square", "a cat")
    requests = [Request(sample_id=p, index=0, prompt=p, config=GenerationConfig(), seed=3) for p in prompts]
    return [image.tobytes() for image in model.generate(requests)]


def logits(network: Any) -> torch.Tensor:
    with torch.no_grad():
        return network(input_ids=torch.arange(8, 20)[None]).logits


def test_an_adapter_is_merged_into_the_weights(folder: Path, adapter: Path, tmp_path: Path) -> None:
    plain, merged = hermes.load_model(str(folder), "cpu"), hermes.load_model(str(folder), "cpu", adapter=str(adapter))
    before = logits(plain.network)
    expected = lora(plain.network, tmp_path / "again", target_modules=r".*language_model.*\.(q|v)_proj")
    torch.testing.assert_close(logits(merged.network), logits(expected), atol=1e-4, rtol=1e-4)
    assert (logits(merged.network) - before).abs().max() > 0.1
    fresh = hermes.load_model(str(folder), "cpu")
    assert merged.info.fingerprint != fresh.info.fingerprint
    assert drawn(merged) != drawn(fresh)
    assert {name for name, _ in merged.network.named_parameters()} == {n for n, _ in fresh.network.named_parameters()}


def test_a_merged_model_is_a_model_as_any(folder: Path, adapter: Path, tmp_path: Path) -> None:
    merged = hermes.load_model(str(folder), "cpu", adapter=str(adapter))
    merged.save(tmp_path / "saved")
    assert hermes.load_model(str(tmp_path / "saved"), "cpu").info.fingerprint == merged.info.fingerprint


@pytest.mark.parametrize("fault", ["foreign", "torn", "missing", "no settings"])
def test_an_adapter_that_does_not_fit_is_one_line(fault: str, folder: Path, tmp_path: Path) -> None:
    if fault == "foreign":
        network = torch.nn.Sequential(torch.nn.Linear(3, 3))
        get_peft_model(network, LoraConfig(r=2, target_modules=["0"])).save_pretrained(tmp_path)
    elif fault == "torn":
        lora(hermes.load_model(str(folder), "cpu").network, tmp_path, target_modules=["q_proj"])
        weights = tmp_path / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    elif fault == "missing":
        lora(hermes.load_model(str(folder), "cpu").network, tmp_path, target_modules=["q_proj"])
        (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(HermesError, match="adapter") as caught:
        hermes.load_model(str(folder), "cpu", adapter=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_width_is_refused() -> None:
    with pytest.raises(HermesError, match=r"^model x: adapter: '\./no' is neither"):
        merge_adapter(torch.nn.Linear(2, 2), "./no", "model x")


def test_half_precision_is_another_run_and_nearly_the_same_model(folder: Path) -> None:
    full = hermes.load_model(str(folder), "cpu", dtype="float32")
    half = hermes.load_model(str(folder), "cpu", dtype="bfloat16")
    assert (full.info.dtype, half.info.dtype) == ("float32", "bfloat16")
    assert full.info.fingerprint != half.info.fingerprint
    assert full.info == hermes.load_model(str(folder), "cpu").info
    near = logits(half.network).float() - logits(full.network)
    assert 0 < near.abs().max() < logits(full.network).std()
    assert len(drawn(half)) == 2


def test_what_a_model_does_not_take_is_refused_before_it_is_loaded() -> None:
    with pytest.raises(HermesError, match=r"'hermes-tiny' does not support --dtype \(it supports none\); leave it out"):
        hermes.load_model("hermes-tiny", "cpu", dtype="bfloat16")
    with pytest.raises(HermesError, match="'null' does not support --device-map"):
        hermes.load_model("null", "cpu", device_map="auto")
    with pytest.raises(TypeError, match="dtyp"):
        hermes.load_model("null", "cpu", dtyp="float32")  # type: ignore[call-arg]
    with pytest.raises(HermesError, match="dtype = 'half'"):
        hermes.load_model("null", "cpu", dtype="half")  # type: ignore[arg-type]
    assert hermes.load_model("hermes-tiny", "cpu", dtype="float32")


def test_an_adapter_of_the_hub_counts_by_its_commit(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that is pushed anew under its name is another one; a folder counts by its content."""
    commit = ["a" * 40]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(tmp_path / commit[0] / "f.json"))
    first = version_with("model", "org/adapter")
    assert version_with("model", "org/adapter") == first
    commit[0] = "b" * 40
    assert version_with("model", "org/adapter") != first
    assert version_with("model", None) == "model"
    assert len({version_with("model", str(adapter)), version_with("other", str(adapter)), first}) == 3


@pytest.mark.parametrize(
    ("kind", "name"),
    [("models", "janus"), ("models", "emu3"), ("models", "chameleon"), ("models", "hf"), ("judges", "hf")],
)
def test_without_torchvision_models_whose_pixels_would_differ_are_refused(
    monkeypatch: pytest.MonkeyPatch, kind: registry.Kind, name: str
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra, match=rf"'{name}'.*pip install 'hermes-bench\[models\]'"):
        registry.load_class(kind, f"{name}:somewhere")


def test_without_torchvision_a_checkpoint_folder_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra, match=r"hermes-bench\[models\]"):
        hermes.load_model(str(folder), "cpu")
