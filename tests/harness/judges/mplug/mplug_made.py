"""A tiny mPLUG checkpoint in the published layout: key names and shapes written from the layout, seeded weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from hermes.harness.records.seeds import derive_seed

WORDS = "yes no is there a red ball dog left of the table ? ! . , ' - it can t s ##s ##ed n't cafe [ ] sep"
VOCABULARY = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
QUESTIONS = ("Is there a red ball?", "is the dog left of the table?", "It can't", "", "ball " * 40)
SETTINGS = {
    "bert_config": "config_bert.json",
    "image_res": 42,
    "vision_width": 64,
    "clip_vision_width": 64,
    "clip_vision_layers": 2,
    "clip_vision_patch_size": 14,
    "beam_size": 3,
    "min_length": 1,
    "max_length": 6,
    "distill": True,
    "task": "visual-question-answering",
}
BERT = {
    "hidden_act": "gelu",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "text_encoder_layers": 2,
    "fusion_layers": 4,
    "text_decode_layers": 2,
    "stride_layer": 2,
    "encoder_width": 32,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 30,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
H, INNER, W = 32, 48, 64


def linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention(name: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for part in ("self.query", "self.key", "self.value", "output.dense"):
        found |= linear(f"{name}.{part}", H, H)
    return found | norm(f"{name}.output.LayerNorm", H)


def layer(name: str, cross: bool) -> dict[str, tuple[int, ...]]:
    found = attention(f"{name}.attention") | (attention(f"{name}.crossattention") if cross else {})
    found |= linear(f"{name}.intermediate.dense", INNER, H) | linear(f"{name}.output.dense", H, INNER)
    return found | norm(f"{name}.output.LayerNorm", H)


def embeddings(name: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.word_embeddings.weight": (len(VOCABULARY), H),
        f"{name}.position_embeddings.weight": (30, H),
        f"{name}.token_type_embeddings.weight": (2, H),
        **norm(f"{name}.LayerNorm", H),
    }


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Every key of the layout, also those that answering does not need."""
    visual = "visual_encoder.visual"
    found: dict[str, tuple[int, ...]] = {
        f"{visual}.conv1.weight": (W, 3, 14, 14),
        f"{visual}.class_embedding": (W,),
        f"{visual}.positional_embedding": (10, W),
        f"{visual}.proj": (W, 16),
        **norm(f"{visual}.ln_pre", W),
        **norm(f"{visual}.ln_post", W),
        "visual_encoder.token_embedding.weight": (10, 16),
        "visual_encoder.logit_scale": (),
        **linear("visn_fc", H, W),
        **linear("visn_fc_m", H, W),
        **norm("visn_layer_norm", H),
    }
    for block in range(2):
        name = f"{visual}.transformer.resblocks.{block}"
        found |= norm(f"{name}.ln_1", W) | norm(f"{name}.ln_2", W)
        found |= {f"{name}.attn.in_proj_weight": (3 * W, W), f"{name}.attn.in_proj_bias": (3 * W,)}
        found |= linear(f"{name}.attn.out_proj", W, W)
        found |= linear(f"{name}.mlp.c_fc", 4 * W, W) | linear(f"{name}.mlp.c_proj", W, 4 * W)
    found |= embeddings("text_encoder.embeddings") | embeddings("text_decoder.bert.embeddings")
    for number in range(2):
        found |= layer(f"text_encoder.encoder.layer.{number}", cross=False)
        found |= layer(f"text_decoder.bert.encoder.layer.{number}", cross=True)
    for number in range(5):
        found |= layer(f"fusion_encoder.encoder.layer.{number}", cross=True)
    head = "text_decoder.cls.predictions"
    found |= linear(f"{head}.transform.dense", H, H) | norm(f"{head}.transform.LayerNorm", H)
    return found | linear(f"{head}.decoder", len(VOCABULARY), H) | {f"{head}.bias": (len(VOCABULARY),)}


def published_weights(seed: int = 0) -> dict[str, Tensor]:
    """Seeded weights, far enough from zero that answers differ; tied tensors are equal, norms near one."""
    weights: dict[str, Tensor] = {}
    for name, shape in published_shapes().items():
        draw = torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(seed, name)))
        is_norm = name.endswith("weight") and ("LayerNorm" in name or "ln_" in name or "layer_norm" in name)
        spread = 0.2 if len(shape) < 2 else 1.5 / shape[-1] ** 0.5
        weights[name] = draw * spread + is_norm
    weights["visual_encoder.visual.conv1.weight"] *= 0.3
    weights["text_decoder.bert.embeddings.word_embeddings.weight"] = weights[
        "text_decoder.cls.predictions.decoder.weight"
    ].clone()
    weights["text_decoder.cls.predictions.bias"] = weights["text_decoder.cls.predictions.decoder.bias"].clone()
    weights["text_encoder.embeddings.position_ids"] = torch.arange(30)[None]
    return weights


def write_checkpoint(
    folder: Path,
    weights: Any = None,
    file: str = "model.safetensors",
    settings: Mapping[str, Any] | None = None,
    bert: Mapping[str, Any] | None = None,
) -> Path:
    """The folder as it is published; ``settings`` and ``bert`` change single fields, None takes one out."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = published_weights() if weights is None else weights
    if file.endswith(".safetensors"):
        save_file(weights, folder / file)
    else:
        torch.save(weights, folder / file)
    kept = {key: value for key, value in (SETTINGS | dict(settings or {})).items() if value is not None}
    (folder / "config.yaml").write_text(yaml.safe_dump(kept))
    kept = {key: value for key, value in (BERT | dict(bert or {})).items() if value is not None}
    (folder / "config_bert.json").write_text(json.dumps(kept))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY))
    return folder


def picture(number: int, size: tuple[int, int] = (60, 48)) -> Image.Image:
    """A picture of noise, another one for each number."""
    rng = np.random.default_rng(derive_seed("picture", number))
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
