"""Random weights of published sizes, made on the device itself, and the same models' outlines for plans."""

import json
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from janus_sizes import JANUS
from showo_sizes import SIZES, Size
from torch import nn

from gpu.measuring import Place
from hermes.harness.models.outline import Outline

SEED = 3
TINY_JANUS: dict[str, Any] = {
    "model_type": "janus",
    "image_token_id": 90,
    "text_config": {
        **{"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 100},
    },
    "vision_config": {
        **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16},
        **{"patch_size": 4, "mlp_ratio": 2.0, "projection_dim": 32, "depth": 2, "num_image_tokens": 16},
    },
    "vq_config": {
        **{"embed_dim": 8, "num_embeddings": 24, "projection_dim": 32, "image_token_embed_dim": 32},
        **{"latent_channels": 32, "base_channels": 32, "channel_multiplier": [1, 1, 1], "num_res_blocks": 1},
        "num_patches": 4,
    },
}


def showo_size(place: Place) -> Size:
    """Show-o 1.3B with pictures of 512 px."""
    return SIZES[place.pick("1.3b", "tiny")]


def showo_outline(place: Place) -> Outline:
    """The plan's view of it."""
    from hermes.harness.models.showo.outline import outline_of

    size = showo_size(place)
    phi = {
        **{"hidden_size": size.width, "num_hidden_layers": size.layers},
        **{"num_attention_heads": size.heads, "intermediate_size": size.inner},
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "phi").mkdir()
        (folder / "phi" / "config.json").write_text(json.dumps(phi))
        (folder / "config.json").write_text(json.dumps(size.config.as_json() | {"llm_model_path": "phi"}))
        outline = outline_of(folder / "config.json", 50)
    assert outline is not None
    return outline


def janus_outline(place: Place) -> Outline:
    """The plan's view of Janus-Pro 7B."""
    from hermes.harness.models.janus.outline import outline_of

    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "config.json"
        path.write_text(json.dumps(place.pick(JANUS, TINY_JANUS)))
        return outline_of(path)


def janus(place: Place, dtype: torch.dtype) -> Any:
    """Janus-Pro 7B; its image tokeniser is in float32, as Hermes has it."""
    from transformers import GenerationConfig, JanusConfig, JanusForConditionalGeneration

    config: Any = JanusConfig.from_dict(deepcopy(place.pick(JANUS, TINY_JANUS)))
    with torch.device(place.device):
        network: Any = JanusForConditionalGeneration(config)
    filled(network, place).to(dtype)
    network.model.vqmodel.float()
    network.generation_config = GenerationConfig(
        bos_token_id=1, pad_token_id=0, generation_kwargs={"boi_token_id": 3}, guidance_scale=5.0
    )
    for frozen in (network.model.vision_model, network.model.vqmodel):
        frozen.requires_grad_(False)
    return network.eval()


@torch.no_grad()
def filled(module: nn.Module, place: Place) -> nn.Module:
    """The module with random matrices, always the same on one device; wide enough for answers to depend on inputs."""
    generator = torch.Generator(place.device).manual_seed(SEED)
    for weight in module.parameters():
        if weight.ndim > 1:
            weight.normal_(0.0, 1.2 / weight[0].numel() ** 0.5, generator=generator)
    return module
