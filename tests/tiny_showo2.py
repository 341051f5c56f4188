"""A tiny Show-o2 checkpoint with random weights, in the files and under the names of the published ones."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers as t
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import save_file
from tiny_parts import ALPHABET, SIZES, by_byte
from torch import Tensor, nn

from hermes.harness.models.showo2.flow import HeadSizes
from hermes.harness.models.showo2.network import Network

SIDE, GRID, CHANNELS, SEEN, PATCH = 48, 3, 16, 24, 2
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
ADDED = 4
HEAD = HeadSizes(width=24, head=6, heads=4, kv_heads=2, inner=40, layers=2, out=PATCH**2 * CHANNELS)
WAN = {"base_dim": 4, "z_dim": CHANNELS, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}


def save(folder: Path, seed: int = 0) -> Path:
    """One token a byte, 48 x 48 pixels, nine image tokens; the same weights for a seed, large enough to matter."""
    words = by_byte([*ALPHABET, *CONTROL], CONTROL[0])
    words.add_special_tokens(CONTROL)
    (folder / "siglip").mkdir(parents=True)
    t.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<|endoftext|>", eos_token="<|im_end|>", unk_token="<|endoftext|>"
    ).save_pretrained(folder / "llm")
    count = words.get_vocab_size() + ADDED
    # The LLM's own vocabulary is larger; that of the weights counts.
    llm = t.Qwen2Config(**SIZES, num_key_value_heads=1, vocab_size=count + 9, tie_word_embeddings=True)
    llm.save_pretrained(folder / "llm")
    llm.vocab_size = count
    vision = {"hidden_size": SEEN, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 40}
    (folder / "siglip" / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": vision}))
    (folder / "config.json").write_text(json.dumps(_settings(count, llm.hidden_size)))
    seeing = t.SiglipVisionConfig(**vision | {"num_hidden_layers": 2})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = Network(t.Qwen2ForCausalLM(llm), seeing, HEAD, (GRID, GRID), CHANNELS, PATCH, 64)
        save_file(_large(network), folder / "pytorch_model.safetensors", metadata={"format": "pt"})
        torch.save(_wan(), folder / "Wan2.1_VAE.pth")
    return folder


def _settings(words: int, width: int) -> dict[str, Any]:
    return {
        "_class_name": "Showo2Qwen2_5",
        "_diffusers_version": "0.31.0",
        "add_qk_norm": True,
        "add_time_embeds": True,
        "clip_latent_dim": SEEN,
        "clip_pretrained_model_path": "google/siglip",
        "hidden_size": width,
        "image_latent_dim": CHANNELS,
        "image_latent_height": GRID,
        "image_latent_width": GRID,
        "llm_model_path": "llm",
        "llm_vocab_size": words,
        "load_from_showo": True,
        "num_diffusion_layers": HEAD.layers,
        "patch_size": PATCH,
        "video_latent_height": GRID,
        "video_latent_width": GRID,
    }


def _large(module: nn.Module) -> dict[str, Tensor]:
    """Random weights that are large enough for all inputs to matter, in half precision as stored."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0.0, 1.2 / parameter[0].numel() ** 0.5)
    return {name: tensor.half().clone().contiguous() for name, tensor in module.state_dict().items()}


def _wan() -> dict[str, Tensor]:
    """Wan2.1's autoencoder under its original names."""
    state = _large(AutoencoderKLWan(**WAN))
    blocks = ("residual.0.gamma", "residual.3.gamma", "residual.2", "residual.6", "shortcut", "resample.1", "time_conv")
    places = [f"{side}s.{n}" for side in ("encoder.downsample", "decoder.upsample") for n in range(15)]
    places += [f"{side}.middle.{n}" for side in ("encoder", "decoder") for n in (0, 2)]
    names = [f"{place}.{block}" for place in places for block in blocks]
    for side in ("encoder", "decoder"):
        names += [f"{side}.{name}" for name in ("conv1", "head.0.gamma", "head.2")]
        names += [f"{side}.middle.1.{name}" for name in ("norm.gamma", "to_qkv", "proj")]
    names += ["conv1", "conv2"]
    every = [f"{name}{end}" for name in names for end in ([""] if name.endswith("gamma") else [".weight", ".bias"])]
    own = {there: name for name in every for there in convert_wan_vae_to_diffusers({name: name})}
    return {own[there]: tensor for there, tensor in state.items()}
