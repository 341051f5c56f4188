"""A tiny SEED-X checkpoint with random weights, in the folders and under the names of the published one."""

import json
from pathlib import Path
from typing import Any

import diffusers
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file
from tiny_parts import SIZES, randomised
from torch import Tensor, nn

from hermes.harness.models.seedx.conditions import ConditionResampler
from hermes.harness.models.seedx.network import Agent
from hermes.harness.models.seedx.vit import VisionEncoder

QUERIES, SIDE, WIDTH, FEATURES, PICTURE = 4, 32, 32, 128, 32
WORDS = "cvlm_llama2_tokenizer_100img_and_224loc_addpatch"
TEXT = "is there a red dog to the left of two blue circles\ngenerate an image of a small green cat\nyes or no\n"
CONFIG = {
    "base_resolution": SIDE,
    "resolution_grids": ["1x1", "1x2", "2x1", "2x2"],
    "visual_encoder": {"heads": 2},
    "input_resampler": {"num_heads": 2},
    "output_resampler": {"num_heads": 4},
    "detokenizer": {"resampler": {"heads": 2, "normalize": False}},
}
UNET = {
    "sample_size": PICTURE // 2,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (1, 2),
    "norm_num_groups": 4,
    "use_linear_projection": True,
    "cross_attention_dim": 16,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 8 + 6 * 4,
}


def save(folder: Path) -> Path:
    """Variant seed_x_i, with the parts that the published ones share beside it; returns the outer folder."""
    home = folder / "seed_x_i"
    home.mkdir(parents=True)
    size = _tokenizer(folder / WORDS)
    config = transformers.LlamaConfig(
        **SIZES, vocab_size=size, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False
    )
    randomised(transformers.LlamaForCausalLM, config).save_pretrained(home / "llm")
    (home / "config.json").write_text(json.dumps(CONFIG))
    _pickled(_agent(), home / "agent" / "pytorch_model.bin")
    _pickled(_vision(), folder / "QwenViT" / "qwen_vit_G.pt")
    for number, name in enumerate(("first_stage", "second_stage")):
        unet = randomised(diffusers.UNet2DConditionModel.from_config, {**UNET, "in_channels": 4 + 4 * number}, number)
        state = {f"unet.{key}": tensor for key, tensor in unet.state_dict().items()}
        state |= {f"resampler.{key}": tensor for key, tensor in _conditions().items()}
        _pickled(state, folder / "seed_detokenizer" / name / "pytorch_model.bin")
    sdxl = folder / "stable-diffusion-xl-base-1.0"
    diffusers.UNet2DConditionModel.from_config(UNET).save_config(sdxl / "unet")
    diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    ).save_pretrained(sdxl / "scheduler")
    randomised(
        diffusers.AutoencoderKL.from_config,
        {
            "block_out_channels": (8, 8),
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "norm_num_groups": 4,
            "scaling_factor": 0.13025,
        },
    ).save_pretrained(sdxl / "vae")
    return folder


def _tokenizer(folder: Path) -> int:
    """LLaMA's kind of sentencepiece model, and the added tokens behind it; returns how many there are."""
    folder.mkdir()
    text = folder / "words.txt"
    text.write_text(TEXT * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=330,
        model_type="bpe",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    names = [*(f"<img_{n:05d}>" for n in range(2 * QUERIES)), "<img>", "</img>", "<loc-0>", "<patch>", "</patch>"]
    (folder / "added_tokens.json").write_text(json.dumps({name: 330 + n for n, name in enumerate(names)}))
    return 330 + len(names)


def _agent() -> dict[str, Tensor]:
    shapes = {"input_resampler": (QUERIES, WIDTH, FEATURES), "output_resampler": (QUERIES, FEATURES, WIDTH)}
    state = {"patch_pos_embed": torch.empty(4, WIDTH)}
    for name, (queries, width, kv) in shapes.items():
        state |= {f"{name}.query": torch.empty(queries, width), f"{name}.kv_proj.weight": torch.empty(width, kv)}
    return _filled(lambda: Agent(state, 2, 4))


def _vision() -> dict[str, Tensor]:
    width = 16
    return _filled(
        lambda: VisionEncoder(
            {
                "conv1.weight": torch.empty(width, 3, 8, 8),
                "positional_embedding": torch.empty(4, width),
                "attn_pool.query": torch.empty(4 * QUERIES, FEATURES),
                "transformer.resblocks.0.mlp.c_fc.bias": torch.empty(24),
            },
            2,
        )
    )


def _conditions() -> dict[str, Tensor]:
    return _filled(
        lambda: ConditionResampler(
            {
                "latents": torch.empty(1, QUERIES, 16),
                "layers.0.0.to_q.weight": torch.empty(16, 16),
                "layers.0.1.1.weight": torch.empty(32, 16),
                "proj_in.weight": torch.empty(16, FEATURES),
                "unet_proj_1.bias": torch.empty(6),
                "unet_proj_2.bias": torch.empty(10),
                "unet_attnpool.c_proj.bias": torch.empty(8),
            },
            2,
        )
    )


def _filled(make: Any) -> dict[str, Tensor]:
    """The state of a module with seeded weights, large enough for answers to depend on all inputs."""

    def build(_: None) -> nn.Module:
        module: nn.Module = make()
        for name, parameter in module.named_parameters():
            nn.init.constant_(parameter, float("ln" in name or "norm" in name) if name.endswith("weight") else 0.0)
        return module

    return dict(randomised(build, None).state_dict())


def _pickled(state: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def as_safetensors(path: Path) -> None:
    """A pickle as the same tensors in safetensors."""
    save_file(
        {name: tensor.contiguous() for name, tensor in torch.load(path).items()}, path.with_suffix(".safetensors")
    )
    path.unlink()
