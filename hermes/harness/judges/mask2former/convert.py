"""mmdet's Mask2Former to transformers': the configuration, the weights under their new names, and an account of both.

Names and order of channels as in mmdet 2.28 and 3.3 and transformers 5.23. Where mmdet merges 2 x 2 patches, channel c
of row r and column k stands at ``4 c + 2 r + k``; in transformers (and in the first Swin) at ``(2 k + r) C + c``.
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hermes.harness.judges.mask2former.names import UNUSED, in_version_3, is_version_2, targets
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Mask2FormerConfig

    Weights = Mapping[str, Tensor]

LEVELS_TIMES_POINTS = 3 * 4


def state_dict(content: Any, where: str) -> dict[str, "Tensor"]:
    """The weights in what a checkpoint file holds, under mmdet 3.x' names.

    Unwraps "state_dict", strips "module." and renames the names of mmdet 2.x. Raises HermesError where there are none.
    """
    import torch

    inner = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(inner, Mapping) or not inner:
        raise HermesError(f"{where}: holds no state dict; give the detector's .pth or .safetensors file")
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in inner.items()):
        raise HermesError(f"{where}: its state dict holds more than named tensors; give the detector's own checkpoint")
    named = {name.removeprefix("module."): value for name, value in inner.items()}
    return {in_version_3(name): value for name, value in named.items()} if is_version_2(named) else named


def config_of(weights: "Weights", where: str = "checkpoint") -> "Mask2FormerConfig":
    """The configuration that these weights (3.x names) have the shapes of. Raises HermesError where there is none."""
    from transformers import Mask2FormerConfig, SwinConfig

    def shape(name: str, axes: int) -> tuple[int, ...]:
        if name not in weights:
            raise HermesError(_not_ours(weights, name, where))
        found = tuple(weights[name].shape)
        if len(found) != axes or 0 in found:
            raise HermesError(f"{where}: {name} has the shape {found}, not {axes} axes; give the detector's checkpoint")
        return found

    def rows(name: str, axes: int = 2) -> int:
        return shape(name, axes)[0]

    def count(prefix: str) -> int:
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
        return len({match[1] for name in weights if (match := pattern.match(name))})

    head, pixels = "panoptic_head.", "panoptic_head.pixel_decoder."
    layers, pixel_layers = f"{head}transformer_decoder.layers.", f"{pixels}encoder.layers."
    stages = [f"backbone.stages.{stage}.blocks." for stage in range(4)]
    tables = [shape(f"{stage}0.attn.w_msa.relative_position_bias_table", 2) for stage in stages]
    width, _, patch, _ = shape("backbone.patch_embed.projection.weight", 4)
    queries, hidden = shape(f"{head}query_feat.weight", 2)
    backbone: dict[str, Any] = {
        "patch_size": patch,
        "embed_dim": width,
        "depths": [count(stage) for stage in stages],
        "num_heads": [table[1] for table in tables],
        "window_size": (math.isqrt(tables[0][0]) + 1) // 2,
        "mlp_ratio": rows(f"{stages[0]}0.ffn.layers.0.0.weight") / width,
        "qkv_bias": f"{stages[0]}0.attn.w_msa.qkv.bias" in weights,
        "drop_path_rate": 0.0,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }
    settings: dict[str, Any] = {
        "feature_size": rows(f"{pixels}input_convs.0.conv.weight", 4),
        "mask_feature_size": rows(f"{pixels}mask_feature.weight", 4),
        "hidden_dim": hidden,
        "encoder_feedforward_dim": rows(f"{pixel_layers}0.ffn.layers.0.0.weight"),
        "encoder_layers": count(pixel_layers),
        # transformers counts the prediction before the first layer as one.
        "decoder_layers": count(layers) + 1,
        "dim_feedforward": rows(f"{layers}0.ffn.layers.0.0.weight"),
        "num_attention_heads": rows(f"{pixel_layers}0.self_attn.attention_weights.weight") // LEVELS_TIMES_POINTS,
        "num_queries": queries,
        "num_labels": rows(f"{head}cls_embed.weight") - 1,
        "enforce_input_projection": f"{head}decoder_input_projs.0.weight" in weights,
    }
    try:
        return Mask2FormerConfig(backbone_config=SwinConfig(**backbone), **settings)
    except Exception as error:
        raise _no_such_model(error, where) from None


def convert(weights: "Weights", where: str = "checkpoint") -> dict[str, "Tensor"]:
    """The weights (3.x names) under transformers' names, float32. Raises HermesError for a name mmdet does not have."""
    converted: dict[str, Tensor] = {}
    for name, value in weights.items():
        new = targets(name)
        if new is None:
            raise HermesError(_not_ours(weights, name, where))
        if new:
            converted |= zip(new, _rearranged(name, value, len(new), where), strict=True)
    return converted


def check_account(model: Any, converted: "Weights", where: str = "checkpoint") -> None:
    """Raise HermesError unless every weight finds its place, in its shape, and all that inference reads is there."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    lacking = sorted(wanted.keys() - converted.keys() - UNUSED)
    left_over = sorted(converted.keys() - wanted.keys())
    misshapen = sorted(name for name in converted if wanted.get(name) not in (None, tuple(converted[name].shape)))
    for names, problem in (
        (lacking, "lacks"),
        (left_over, "has no place for"),
        (misshapen, "has the wrong shape for"),
    ):
        if names:
            raise HermesError(
                f"{where}: {problem} {len(names)} of the {len(wanted)} weights, for instance {names[0]}; "
                "give a whole Mask2Former checkpoint with a Swin backbone"
            )


def build(config: "Mask2FormerConfig", converted: "Weights", where: str = "checkpoint") -> Any:
    """transformers' Mask2FormerForUniversalSegmentation, ready for inference, on the CPU.

    Raises HermesError where weights and configuration disagree.
    """
    import torch
    from transformers import Mask2FormerForUniversalSegmentation

    # Building a model draws its first weights, and must not change the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        try:
            model: Any = Mask2FormerForUniversalSegmentation(config)
        except Exception as error:
            raise _no_such_model(error, where) from None
    check_account(model, converted, where)
    model.load_state_dict(dict(converted), strict=False)
    return model.eval().requires_grad_(False)


def _rearranged(name: str, value: "Tensor", parts: int, where: str) -> list["Tensor"]:
    """One mmdet weight as transformers' ``parts`` weights, each with a storage of its own, float32."""
    try:
        value = _patch_order(value) if ".downsample." in name else value
        pieces = value.tensor_split(parts) if parts > 1 else (value,)
    except (RuntimeError, IndexError):
        raise HermesError(
            f"{where}: {name} cannot have the shape {tuple(value.shape)}; give the detector's checkpoint"
        ) from None
    return [piece.float().clone().contiguous() for piece in pieces]


def _patch_order(value: "Tensor") -> "Tensor":
    """The last axis from (C, row, column) to (column, row, C)."""
    channels = value.shape[-1] // 4
    parts = value.reshape(*value.shape[:-1], channels, 2, 2)
    return parts.transpose(-1, -3).reshape(value.shape)


def _no_such_model(error: Exception, where: str) -> HermesError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return HermesError(f"{where}: its shapes are those of no Mask2Former ({reason}); give the detector's checkpoint")


def _not_ours(weights: "Weights", name: str, where: str) -> str:
    what = "knows no weight" if name in weights else "needs the weight"
    return f"{where}: mmdet's Mask2Former with a Swin backbone {what} {name}; give that detector's checkpoint"
