"""Adapters of all types: merged they compute what PEFT computes, or they are refused in a line that says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import tiny_janus
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import hermes
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.system.errors import HermesError

QV = ["q_proj", "v_proj"]
WEIGHTS = "adapter_model.safetensors"


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj, self.norm = nn.Linear(64, 64), nn.Linear(64, 64), nn.LayerNorm(64)

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = x + self.v_proj(torch.tanh(self.q_proj(self.norm(x))))
        return summed


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers = nn.Embedding(20, 64), nn.ModuleList([Attention(), Attention()])

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return x


class Network(nn.Module):
    """Two layers and a head, in the tree of a language model."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.lm_head = Body(), nn.Linear(64, 20)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.lm_head(self.model(ids))
        return logits


class Upstream(nn.Module):
    """The tree of the published code, with one level more."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.showo = network

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.showo(ids)
        return logits


def network() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network().eval()


def outputs(model: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(torch.arange(12)[None])
    return logits


def train(config: Any, folder: Path, on: Any = None) -> Tensor:
    """Save an adapter with random weights; returns what the network computes with it on."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made: Any = peft.get_peft_model(network() if on is None else on, config).eval()
        for weight in made.parameters():
            if weight.requires_grad:
                weight.data = weight.data + torch.randn_like(weight) * 0.1
    made.save_pretrained(folder)
    return outputs(made)


def rename(folder: Path, name: Callable[[str], str]) -> None:
    save_file({name(key): tensor for key, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)


def settings(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


TYPES: dict[str, Any] = {
    "LoRA": peft.LoraConfig(r=4, target_modules=QV),
    "DoRA": peft.LoraConfig(r=4, target_modules=QV, use_dora=True),
    "LoRA with a whole head": peft.LoraConfig(r=4, target_modules=QV, modules_to_save=["lm_head"]),
    "LoRA of embeddings": peft.LoraConfig(r=4, target_modules=["embed", "q_proj"], rank_pattern={"q_proj": 2}),
    "AdaLoRA": peft.AdaLoraConfig(total_step=10, target_modules=QV),
    "IA3": peft.IA3Config(target_modules=QV, feedforward_modules=["v_proj"]),
    "VeRA": peft.VeraConfig(r=4, target_modules=QV),
    "LoHa": peft.LoHaConfig(r=4, target_modules=QV),
    "LoKr": peft.LoKrConfig(r=4, target_modules=QV),
    "OFT": peft.OFTConfig(oft_block_size=8, target_modules=QV),
    "norms": peft.LNTuningConfig(target_modules=["norm"]),
    "tokens": peft.TrainableTokensConfig(target_modules=["embed"], token_indices=[1, 2]),
}


@pytest.mark.parametrize("upstream", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_merged(kind: str, upstream: bool, tmp_path: Path) -> None:
    expected = train(TYPES[kind], tmp_path, Upstream(network()) if upstream else None)
    merged = merge_adapter(network(), str(tmp_path), "model x")
    assert isinstance(merged, Network)
    torch.testing.assert_close(outputs(merged), expected, atol=1e-5, rtol=1e-5)
    assert (outputs(network()) - expected).abs().max() > 1e-2
    assert all(weight.requires_grad for weight in merged.parameters())


LORA = TYPES["LoRA"]
INNER = "base_model.model."
NAMES: dict[str, Callable[[str], str]] = {
    "bare": lambda name: name.removeprefix(INNER),
    "DistributedDataParallel": lambda name: f"module.{name}",
    "compiled": lambda name: name.replace("model.layers", "_orig_mod.model.layers"),
    "a wrapped tree": lambda name: name.replace(INNER, f"{INNER}module.showo."),
    "a wrapped tree, bare": lambda name: name.replace(INNER, "module.showo."),
    "the body's tree": lambda name: name.replace(f"{INNER}model.", INNER),
}


@pytest.mark.parametrize("names", NAMES)
def test_names_of_other_savings_and_trees_fit(names: str, tmp_path: Path) -> None:
    expected = train(LORA, tmp_path)
    rename(tmp_path, NAMES[names])
    torch.testing.assert_close(outputs(merge_adapter(network(), str(tmp_path), "x")), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "targets", [r"showo\.model\.layers\.\d\.q_proj", ["showo.model.layers.1.v_proj"]], ids=["pattern", "full name"]
)
def test_targets_named_in_the_upstream_tree_fit(targets: Any, tmp_path: Path) -> None:
    expected = train(peft.LoraConfig(r=4, target_modules=targets), tmp_path, Upstream(network()))
    torch.testing.assert_close(outputs(merge_adapter(network(), str(tmp_path), "x")), expected, atol=1e-5, rtol=1e-5)


def test_levels_in_another_order_are_the_same_tree(tmp_path: Path) -> None:
    """The authors' Janus has language_model.model where transformers has model.language_model."""
    model: Any = hermes.load_model(str(tiny_janus.save(tmp_path / "janus")), "cpu")
    frozen = {name for name, weight in model.network.named_parameters() if not weight.requires_grad}
    train_on = r".*language_model.*\.(q|v)_proj"
    with torch.random.fork_rng():
        made: Any = peft.get_peft_model(
            model.network, peft.LoraConfig(r=2, target_modules=train_on, init_lora_weights=False)
        )
    made.save_pretrained(tmp_path / "adapter")
    loaded = []
    for turn in (False, True):
        if turn:
            rename(tmp_path / "adapter", lambda name: name.replace("model.language_model.", "language_model.model.", 1))
        loaded.append(hermes.load_model(str(tmp_path / "janus"), "cpu", adapter=str(tmp_path / "adapter")))
    assert loaded[0].info.fingerprint == loaded[1].info.fingerprint
    assert {n for n, weight in loaded[0].network.named_parameters() if not weight.requires_grad} == frozen


def test_pickles_and_steps_are_read(tmp_path: Path) -> None:
    train(peft.LoraConfig(r=2, target_modules=["q_proj"]), tmp_path / "out" / "checkpoint-9")
    newest = tmp_path / "out" / "checkpoint-10"
    expected = train(LORA, newest)
    torch.save(load_file(newest / WEIGHTS), newest / "adapter_model.bin")
    (newest / WEIGHTS).unlink()
    found = outputs(merge_adapter(network(), str(tmp_path / "out"), "x"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def without(folder: Path, *words: str) -> None:
    kept = {name: t for name, t in load_file(folder / WEIGHTS).items() if not all(word in name for word in words)}
    save_file(kept, folder / WEIGHTS)


def filled(folder: Path, part: str, value: float) -> None:
    tensors = {n: torch.full_like(t, value) if part in n else t for n, t in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS)


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "changes nothing": (lambda folder: filled(folder, "lora_B", 0.0), "changes no weight of the model"),
    "not a number": (
        lambda folder: filled(folder, "1.v_proj.lora_A", float("nan")),
        r"layers\.1\.v_proj\.lora_A\.weight holds numbers that are not finite",
    ),
    "another depth": (
        lambda folder: rename(folder, lambda name: name.replace("layers.1", "layers.7")),
        r"looked for the layer model\.layers\.7\.q_proj, the model has model\.layers\.0\.q_proj",
    ),
    "the language model in another": (
        lambda folder: rename(folder, lambda name: name.replace(INNER, f"{INNER}language_model.")),
        r"looked for the layer language_model\.model\.layers\.0\.q_proj, the model has model\.layers\.0\.q_proj",
    ),
    "another model": (
        lambda folder: (
            rename(folder, lambda name: name.replace("_proj", "_other")),
            settings(folder, target_modules=["q_other"]),
        ),
        r"looked for the layer model\.layers\.0\.q_other, the model has no q_other",
    ),
    "half of it": (lambda folder: without(folder, "layers.1"), "lacks 4 tensors, such as .*layers.1.q_proj.lora_A"),
    "no whole head": (lambda folder: settings(folder, modules_to_save=["lm_head"]), r"lacks .*lm_head\.(weight|bias)"),
    "another rank": (lambda folder: settings(folder, r=8), "does not fit .*size mismatch"),
    "no type": (lambda folder: settings(folder, peft_type=None), "peft_type in adapter_config.json is None"),
    "an unknown type": (lambda folder: settings(folder, peft_type="NEW"), "is 'NEW', which PEFT does not know"),
    "a prompt": (lambda folder: settings(folder, peft_type="PROMPT_TUNING"), "cannot be merged into weights"),
    "layers of prompts": (
        lambda folder: settings(folder, peft_type="ADAPTION_PROMPT"),
        "cannot be merged into weights",
    ),
    "on for some tokens": (lambda folder: settings(folder, alora_invocation_tokens=[1]), "does not support merging"),
    "torn settings": (lambda folder: (folder / "adapter_config.json").write_text("{"), "is not valid JSON"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "holds no adapter_model.safetensors"),
    "empty": (lambda folder: save_file({}, folder / WEIGHTS), "holds no dictionary of tensors|is empty|lacks"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_one_line(fault: str, tmp_path: Path) -> None:
    train(LORA, tmp_path)
    spoil, words = FAULTS[fault]
    spoil(tmp_path)
    with pytest.raises(HermesError, match=f"^model x: the adapter .*{words}") as caught:
        merge_adapter(network(), str(tmp_path), "model x")
    assert "\n" not in str(caught.value)


def test_two_places_for_one_layer_are_no_place(tmp_path: Path) -> None:
    train(LORA, tmp_path)
    rename(tmp_path, NAMES["the body's tree"])
    both = nn.ModuleDict({"policy": network().model, "reference": network().model})
    with pytest.raises(HermesError, match="have no place"):
        merge_adapter(both, str(tmp_path), "x")


def test_an_adapter_given_as_a_model_is_named(tmp_path: Path) -> None:
    train(LORA, tmp_path)
    with pytest.raises(HermesError, match="holds an adapter; give the model that it was trained on"):
        hermes.load_model(str(tmp_path), "cpu")
