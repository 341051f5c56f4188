"""A tiny BAGEL checkpoint with random weights, in the files and under the names of the published ones."""

import json
import re
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers as t
from safetensors.torch import save_file
from tiny_parts import ALPHABET, by_byte
from torch import Tensor

from hermes.harness.models.bagel.config import Settings
from hermes.harness.models.bagel.network import Bagel

SIDE, PATCH, STRIDE, WIDTH, LATENT = 32, 8, 4, 24, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
UNUSED = 7
LLM: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": WIDTH,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "hidden_act": "silu",
}
VIT: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "image_size": SIDE,
    "patch_size": PATCH,
}
OWN: dict[str, Any] = {
    "vit_transform": {"max_image_size": SIDE, "min_image_size": 16},
    "vae_transform": {"max_image_size": SIDE, "min_image_size": 16},
}


def save(folder: Path) -> Path:
    """One token a byte, 32 x 32 pixels seen as 4 x 4 patches and drawn as 8 x 8 tokens; the same every time."""
    folder.mkdir(parents=True)
    words = by_byte([*ALPHABET, *SPECIAL], SPECIAL[0])
    words.add_special_tokens(SPECIAL)
    t.PreTrainedTokenizerFast(tokenizer_object=words, pad_token=SPECIAL[0]).save_pretrained(folder)
    for name, content in (("llm_config.json", LLM), ("vit_config.json", VIT), ("config.json", OWN)):
        (folder / name).write_text(json.dumps(content))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        save_file(_network(words.get_vocab_size() + UNUSED), folder / "ema.safetensors")
        save_file(_vae(), folder / "ae.safetensors")
    return folder


def _network(vocabulary: int) -> dict[str, Tensor]:
    shapes = {
        "language_model.model.embed_tokens.weight": (vocabulary, WIDTH),
        "vit_pos_embed.pos_embed": ((SIDE // PATCH) ** 2, WIDTH),
        "vit_model.vision_model.embeddings.position_embedding.weight": ((SIDE // PATCH) ** 2, WIDTH),
        "vae2llm.weight": (WIDTH, LATENT * 4),
        "latent_pos_embed.pos_embed": ((SIDE // STRIDE) ** 2, WIDTH),
    }
    network = Bagel(Settings(LLM, VIT, OWN), {name: torch.Size(shape) for name, shape in shapes.items()})
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0.0, 1.5 / parameter.shape[1] ** 0.5)
    return {name: tensor.bfloat16().contiguous() for name, tensor in network.state_dict().items()}


def _vae() -> dict[str, Tensor]:
    vae: Any = diffusers.AutoencoderKL(
        block_out_channels=[32, 32],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=LATENT,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    return {_published(name): tensor.contiguous() for name, tensor in vae.state_dict().items()}


def _published(name: str) -> str:
    """FLUX's name of diffusers' one, with two levels."""
    name = re.sub(r"up_blocks\.(\d)\.", lambda fit: f"up.{1 - int(fit[1])}.", name)
    for here, there in {
        "down_blocks.": "down.",
        "mid_block.resnets.0": "mid.block_1",
        "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0.": "mid.attn_1.",
        "group_norm": "norm",
        "to_out.0": "proj_out",
        "to_": "",
        "resnets": "block",
        "samplers.0": "sample",
        "conv_shortcut": "nin_shortcut",
        "conv_norm_out": "norm_out",
    }.items():
        name = name.replace(here, there)
    return name
