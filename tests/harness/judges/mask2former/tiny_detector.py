"""A Mask2Former of a few thousand weights, and the same weights as mmdet 2.x and 3.x would name and order them.

The way back from transformers to mmdet is written here by hand, so that it checks the package's way forth.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.records.seeds import derive_seed

PARITY = Path(__file__).parents[5] / "shared" / "parity" / "mask2former"
SCALE = (96, 64)

BACK = (
    (r"^model\.pixel_level_module\.encoder\.swin\.embeddings\.patch_embeddings\.", "backbone.patch_embed."),
    (r"^model\.pixel_level_module\.encoder\.swin\.embeddings\.norm\.", "backbone.patch_embed.norm."),
    (r"^model\.pixel_level_module\.encoder\.swin\.encoder\.layers\.", "backbone.stages."),
    (r"^model\.pixel_level_module\.encoder\.hidden_states_norms\.stage1\.", "backbone.norm0."),
    (r"^model\.pixel_level_module\.encoder\.hidden_states_norms\.stage2\.", "backbone.norm1."),
    (r"^model\.pixel_level_module\.encoder\.hidden_states_norms\.stage3\.", "backbone.norm2."),
    (r"^model\.pixel_level_module\.encoder\.hidden_states_norms\.stage4\.", "backbone.norm3."),
    (r"(backbone.*)layernorm_before", r"\1norm1"),
    (r"(backbone.*)layernorm_after", r"\1norm2"),
    (r"(backbone.*)attention\.relative_position_bias\.", r"\1attn.w_msa."),
    (r"(backbone.*)attention\.o_proj", r"\1attn.w_msa.proj"),
    (r"(backbone.*)attention\.qkv_proj", r"\1attn.w_msa.qkv"),
    (r"(backbone.*)mlp\.fc1", r"\1ffn.layers.0.0"),
    (r"(backbone.*)mlp\.fc2", r"\1ffn.layers.1"),
    (r"^model\.pixel_level_module\.decoder\.", "panoptic_head.pixel_decoder."),
    (r"(pixel_decoder\.)input_projections\.(\d)\.0", r"\1input_convs.\2.conv"),
    (r"(pixel_decoder\.)input_projections\.(\d)\.1", r"\1input_convs.\2.gn"),
    (r"(pixel_decoder\.)adapter_1\.0", r"\1lateral_convs.0.conv"),
    (r"(pixel_decoder\.)adapter_1\.1", r"\1lateral_convs.0.gn"),
    (r"(pixel_decoder\.)layer_1\.0", r"\1output_convs.0.conv"),
    (r"(pixel_decoder\.)layer_1\.1", r"\1output_convs.0.gn"),
    (r"(pixel_decoder\.)mask_projection", r"\1mask_feature"),
    (r"(pixel_decoder\.)level_embed$", r"\1level_encoding.weight"),
    (r"(pixel_decoder\..*)self_attn_layer_norm", r"\1norms.0"),
    (r"(pixel_decoder\..*)final_layer_norm", r"\1norms.1"),
    (r"^model\.transformer_module\.decoder\.layers\.", "panoptic_head.transformer_decoder.layers."),
    (r"^model\.transformer_module\.decoder\.layernorm", "panoptic_head.transformer_decoder.post_norm"),
    (r"^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.0\.0", "panoptic_head.mask_embed.0"),
    (r"^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.1\.0", "panoptic_head.mask_embed.2"),
    (r"^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.2\.0", "panoptic_head.mask_embed.4"),
    (r"^model\.transformer_module\.queries_embedder", "panoptic_head.query_embed"),
    (r"^model\.transformer_module\.queries_features", "panoptic_head.query_feat"),
    (r"^model\.transformer_module\.level_embed", "panoptic_head.level_embed"),
    (r"^model\.transformer_module\.input_projections\.", "panoptic_head.decoder_input_projs."),
    (r"^class_predictor", "panoptic_head.cls_embed"),
    (r"(transformer_decoder\..*)cross_attn_layer_norm", r"\1norms.0"),
    (r"(transformer_decoder\..*)self_attn_layer_norm", r"\1norms.1"),
    (r"(transformer_decoder\..*)final_layer_norm", r"\1norms.2"),
    (r"(transformer_decoder\..*)self_attn\.qkv_proj\.", r"\1self_attn.attn.in_proj_"),
    (r"(transformer_decoder\..*)self_attn\.out_proj", r"\1self_attn.attn.out_proj"),
    (r"(transformer_decoder\..*)cross_attn\.", r"\1cross_attn.attn."),
    (r"(_decoder\..*layers\.\d+\.)fc1", r"\1ffn.layers.0.0"),
    (r"(_decoder\..*layers\.\d+\.)fc2", r"\1ffn.layers.1"),
)
# mmdet 3.x to 2.x; the decoder's first attention is the one to the image.
TO_VERSION_2 = (
    (r"(pixel_decoder\.encoder\.layers\.\d+)\.self_attn\.", r"\1.attentions.0."),
    (r"(transformer_decoder\.layers\.\d+)\.cross_attn\.", r"\1.attentions.0."),
    (r"(transformer_decoder\.layers\.\d+)\.self_attn\.", r"\1.attentions.1."),
    (r"^(panoptic_head.*layers\.\d+)\.ffn\.", r"\1.ffns.0."),
)
NOWHERE = re.compile(r"\.swin\.layernorm\.|^criterion\.")


def tiny_config(**changes: Any) -> Mask2FormerConfig:
    backbone: dict[str, Any] = {
        "embed_dim": 8,
        "depths": [1, 2, 1, 1],
        "num_heads": [1, 2, 2, 4],
        "window_size": 7,
        "drop_path_rate": 0.0,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }
    settings: dict[str, Any] = {
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "encoder_feedforward_dim": 40,
        "encoder_layers": 2,
        "decoder_layers": 4,
        "dim_feedforward": 48,
        "num_attention_heads": 4,
        "num_queries": 6,
        "num_labels": 80,
    }
    return Mask2FormerConfig(backbone_config=SwinConfig(**backbone), **(settings | changes))


def tiny_model(config: Mask2FormerConfig | None = None) -> Any:
    """Every weight is drawn, so that none stands for another."""
    with torch.random.fork_rng(devices=[]):
        model: Any = Mask2FormerForUniversalSegmentation(config or tiny_config())
    generator = torch.Generator().manual_seed(derive_seed("tiny mask2former"))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.1 * noise if weight.ndim == 1 and "weight" in name else 0.2 * noise)
    return model.eval().requires_grad_(False)


def back(name: str) -> str:
    for pattern, replacement in BACK:
        name = re.sub(pattern, replacement, name)
    return name


def mmdet_weights(state: Mapping[str, Tensor], version: int) -> dict[str, Tensor]:
    """transformers' state dict as mmdet 2.x or 3.x would have it."""
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        if NOWHERE.search(name):
            continue
        stacked = (".self_attn." in name and ".transformer_module." in name) or ".attention." in name
        if stacked and (part := re.search(r"\.([qkv])_proj\.", name)):
            if part[1] == "q":
                whole = torch.cat([value, *(state[name.replace(".q_proj.", f".{other}_proj.")] for other in "kv")])
                weights[back(name.replace(".q_proj.", ".qkv_proj."))] = whole
            continue
        if ".downsample." in name:
            channels = value.shape[-1] // 4
            by_patch = {(k, r): value[..., (2 * k + r) * channels :][..., :channels] for k in (0, 1) for r in (0, 1)}
            order = [by_patch[k, r] for r in (0, 1) for k in (0, 1)]
            value = torch.stack(order, dim=-1).flatten(-2)
        weights[back(name)] = value
    for stage in range(4):
        for block in range(2 if stage == 1 else 1):
            index = torch.zeros(49, 49, dtype=torch.long, device=next(iter(state.values())).device)
            weights[f"backbone.stages.{stage}.blocks.{block}.attn.w_msa.relative_position_index"] = index
    return {in_version_2(name): value for name, value in weights.items()} if version == 2 else weights


def in_version_2(name: str) -> str:
    for pattern, replacement in TO_VERSION_2:
        name = re.sub(pattern, replacement, name)
    return name


def in_version_3(name: str) -> str:
    """The 3.x name of a 2.x name."""
    name = re.sub(r"(transformer_decoder\.layers\.\d+)\.attentions\.0\.", r"\1.cross_attn.", name)
    name = re.sub(r"(transformer_decoder\.layers\.\d+)\.attentions\.1\.", r"\1.self_attn.", name)
    name = re.sub(r"(pixel_decoder\.encoder\.layers\.\d+)\.attentions\.0\.", r"\1.self_attn.", name)
    return re.sub(r"\.ffns\.0\.", ".ffn.", name)


def assert_golden(found: Instances, path: Path) -> None:
    """Every golden instance has one of ours: the label and box, the nearest score, at most two pixels apart."""
    wanted = load_file(path.with_suffix(".safetensors"))
    height, width = json.loads(path.read_text())["mask_shape"]
    masks = np.unpackbits(wanted["masks_packed"], axis=-1)[:, : height * width].reshape(-1, height, width)
    assert found.masks.shape == masks.shape
    left = set(range(len(found.labels)))
    for label, score, box, mask in zip(wanted["labels"], wanted["scores"], wanted["boxes"], masks, strict=True):
        same = [
            number
            for number in left
            if int(found.labels[number]) == label and found.boxes[number].tolist() == box.tolist()
        ]
        number = min(same, key=lambda number: abs(float(found.scores[number]) - float(score)))
        assert abs(float(found.scores[number]) - float(score)) < 1e-4
        assert int((found.masks[number].numpy() != mask.astype(bool)).sum()) <= 2
        left.remove(number)
    assert not left
