"""SigLIP for pictures of any size, with its published names: transformers' layers, and places that follow the picture.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/siglip_navit.py.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.bagel.config import Settings


class _Embeddings(nn.Module):
    def __init__(self, width: int, patch: int, places: int) -> None:
        super().__init__()
        self.patch_embedding = nn.Linear(3 * patch * patch, width)
        self.position_embedding = nn.Embedding(places, width)


class _Encoder(nn.Module):
    def __init__(self, config: Any, layers: int) -> None:
        from transformers.models.siglip.modeling_siglip import SiglipEncoderLayer

        super().__init__()
        self.layers = nn.ModuleList(SiglipEncoderLayer(config) for _ in range(layers))


class _Vision(nn.Module):
    def __init__(self, settings: Settings, places: int) -> None:
        from transformers import SiglipVisionConfig

        super().__init__()
        told = settings.vit
        config = SiglipVisionConfig(
            **{name: told[name] for name in ("hidden_size", "num_attention_heads", "intermediate_size")},
            hidden_act=told.get("hidden_act") or "gelu_pytorch_tanh",
            layer_norm_eps=float(told.get("layer_norm_eps") or 1e-6),
        )
        config._attn_implementation = "sdpa"
        width = config.hidden_size
        self.embeddings = _Embeddings(width, settings.patch, places)
        self.encoder = _Encoder(config, settings.vit_layers)
        self.post_layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps)


class Vit(nn.Module):
    """One picture's patches (n, 3 patch^2) and places (n,) to features (n, width)."""

    def __init__(self, settings: Settings, places: int) -> None:
        super().__init__()
        self.vision_model = _Vision(settings, places)

    def forward(self, patches: Tensor, places: Tensor) -> Tensor:
        parts = self.vision_model
        embeddings = parts.embeddings
        weight = embeddings.patch_embedding.weight
        x = (embeddings.patch_embedding(patches.to(weight)) + embeddings.position_embedding(places))[None]
        for layer in parts.encoder.layers:
            x = layer(x, None)
        found: Tensor = parts.post_layernorm(x)[0]
        return found

    def empty(self) -> Tensor:
        """The features of no picture (0, width)."""
        weight = self.vision_model.post_layernorm.weight
        return torch.empty(0, len(weight), device=weight.device, dtype=weight.dtype)
