"""Tiny Anole checkpoints with random weights: one model in transformers' layout, and in its authors'."""

import json
from pathlib import Path

import tiny_chameleon
import tiny_vqgan
import torch
import transformers as t
from safetensors.torch import load_file, save_file
from tiny_parts import SIZES, randomised
from tokenizers import Tokenizer
from torch import Tensor

from hermes.harness.models.anole.names import INSIDE, OUTSIDE

WIDTH = SIZES["hidden_size"] // SIZES["num_attention_heads"]
"""Of a head."""


def save(folder: Path, seed: int = 0) -> Path:
    """transformers' layout with the whole VQGAN in it; 16 x 16 pixels, 16 codes."""
    tiny_chameleon.save(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings["num_key_value_heads"] = 1
    settings["vq_config"] = {**settings["vq_config"], **tiny_vqgan.CONFIG.as_json()}
    (folder / "config.json").write_text(json.dumps(settings))
    network = randomised(t.ChameleonForConditionalGeneration, t.ChameleonConfig.from_pretrained(folder), seed)
    state = {name: held for name, held in network.state_dict().items() if ".vqmodel." not in name}
    for name, held in state.items():
        if "q_norm." in name or "k_norm." in name:  # all heads of a published model have one norm
            held.copy_(held[:1].clone())
    vqgan = {f"model.vqmodel.{name}": held for name, held in tiny_vqgan.tensors(seed).items()}
    save_file({**state, **vqgan}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def save_original(folder: Path, of: Path) -> Path:
    """The weights of ``of`` in the authors' layout: models/7b/ and tokenizer/."""
    home = folder / "models" / "7b"
    home.mkdir(parents=True)
    held = load_file(of / "model.safetensors")
    torch.save({**_original(held), "rope.freqs": torch.zeros(4)}, home / "consolidated.pth")
    (home / "params.json").write_text(json.dumps({"norm_eps": 1e-5, "rope_theta": 10000.0, "swin_norm": False}))
    (home / "config.json").write_text("{}")
    tiny_vqgan.save(folder / "tokenizer")
    words = Tokenizer.from_file(str(of / "tokenizer.json")).to_str().replace("<image>", "<reserved08707>")
    (folder / "tokenizer" / "text_tokenizer.json").write_text(words)
    return folder


def _original(held: dict[str, Tensor]) -> dict[str, Tensor]:
    outside = {theirs: ours for ours, theirs in OUTSIDE.items()}
    inside = {theirs: ours for ours, theirs in INSIDE.items()}
    named = {}
    for name, tensor in held.items():
        if name in outside:
            named[outside[name]] = tensor
        elif name.startswith("model.layers."):
            number, _, inner = name.removeprefix("model.layers.").partition(".")
            part, _, kind = inner.rpartition(".")
            if part.endswith(("q_norm", "k_norm")):
                tensor = neighbours(tensor[0], 1)
            elif part.endswith(("q_proj", "k_proj")):
                tensor = neighbours(tensor, len(tensor) // WIDTH)
            named[f"layers.{number}.{inside[part]}.{kind}"] = tensor.clone()
    return named


def neighbours(rows: Tensor, heads: int) -> Tensor:
    """Each head's halves put one into the other, which is how the authors' rotation takes them."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
