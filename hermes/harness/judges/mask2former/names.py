"""mmdet's names of Mask2Former's weights, and which of transformers' weights each becomes."""

import re
from collections.abc import Iterable

ENCODER = "model.pixel_level_module.encoder."
DECODER = "model.pixel_level_module.decoder."
TRANSFORMER = "model.transformer_module."

# What transformers' model has and inference never reads; mmdet has no counterpart.
UNUSED = frozenset(
    {f"{ENCODER}swin.layernorm.weight", f"{ENCODER}swin.layernorm.bias", "criterion.empty_weight"},
)

_RENAMED_IN_3 = (
    (r"^(panoptic_head\.pixel_decoder\.encoder\.layers\.\d+)\.attentions\.0\.", r"\1.self_attn."),
    (r"^(panoptic_head\.transformer_decoder\.layers\.\d+)\.attentions\.0\.", r"\1.cross_attn."),
    (r"^(panoptic_head\.transformer_decoder\.layers\.\d+)\.attentions\.1\.", r"\1.self_attn."),
    (r"^(panoptic_head\..*\.layers\.\d+)\.ffns\.0\.", r"\1.ffn."),
)

# mmdet 3.x on the left: "#" is a number, "*" is "weight" or "bias". On the right "{}" repeats them in turn, "@" stands
# for q, k and v (mmdet keeps the three stacked along dimension 0), and "" is a buffer that transformers computes.
_BLOCK = ("backbone.stages.#.blocks.#.", f"{ENCODER}swin.encoder.layers.{{}}.blocks.{{}}.")
_DOWNSAMPLE = ("backbone.stages.#.downsample.", f"{ENCODER}swin.encoder.layers.{{}}.downsample.")
_PIXELS = "panoptic_head.pixel_decoder."
_PIXEL_LAYER = (f"{_PIXELS}encoder.layers.#.", f"{DECODER}encoder.layers.{{}}.")
_LAYER = ("panoptic_head.transformer_decoder.layers.#.", f"{TRANSFORMER}decoder.layers.{{}}.")


def _under(prefixes: tuple[str, str], *pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((prefixes[0] + left, prefixes[1] + right if right else "") for left, right in pairs)


_TABLE = (
    ("backbone.patch_embed.projection.*", f"{ENCODER}swin.embeddings.patch_embeddings.projection.{{}}"),
    ("backbone.patch_embed.norm.*", f"{ENCODER}swin.embeddings.norm.{{}}"),
    *_under(
        _BLOCK,
        ("norm1.*", "layernorm_before.{}"),
        ("norm2.*", "layernorm_after.{}"),
        ("attn.w_msa.qkv.*", "attention.@_proj.{}"),
        ("attn.w_msa.proj.*", "attention.o_proj.{}"),
        (
            "attn.w_msa.relative_position_bias_table",
            "attention.relative_position_bias.relative_position_bias_table",
        ),
        ("attn.w_msa.relative_position_index", ""),
        ("ffn.layers.0.0.*", "mlp.fc1.{}"),
        ("ffn.layers.1.*", "mlp.fc2.{}"),
    ),
    *_under(_DOWNSAMPLE, ("norm.*", "norm.{}"), ("reduction.weight", "reduction.weight")),
    *((f"backbone.norm{stage}.*", f"{ENCODER}hidden_states_norms.stage{stage + 1}.{{}}") for stage in range(4)),
    *_under(
        (_PIXELS, DECODER),
        ("input_convs.#.conv.*", "input_projections.{}.0.{}"),
        ("input_convs.#.gn.*", "input_projections.{}.1.{}"),
        ("level_encoding.weight", "level_embed"),
        ("lateral_convs.0.conv.weight", "adapter_1.0.weight"),
        ("lateral_convs.0.gn.*", "adapter_1.1.{}"),
        ("output_convs.0.conv.weight", "layer_1.0.weight"),
        ("output_convs.0.gn.*", "layer_1.1.{}"),
        ("mask_feature.*", "mask_projection.{}"),
    ),
    *_under(
        _PIXEL_LAYER,
        ("self_attn.sampling_offsets.*", "self_attn.sampling_offsets.{}"),
        ("self_attn.attention_weights.*", "self_attn.attention_weights.{}"),
        ("self_attn.value_proj.*", "self_attn.value_proj.{}"),
        ("self_attn.output_proj.*", "self_attn.output_proj.{}"),
        ("norms.0.*", "self_attn_layer_norm.{}"),
        ("norms.1.*", "final_layer_norm.{}"),
        ("ffn.layers.0.0.*", "fc1.{}"),
        ("ffn.layers.1.*", "fc2.{}"),
    ),
    *_under(
        _LAYER,
        ("cross_attn.attn.in_proj_*", "cross_attn.in_proj_{}"),
        ("cross_attn.attn.out_proj.*", "cross_attn.out_proj.{}"),
        ("self_attn.attn.in_proj_*", "self_attn.@_proj.{}"),
        ("self_attn.attn.out_proj.*", "self_attn.out_proj.{}"),
        ("norms.0.*", "cross_attn_layer_norm.{}"),
        ("norms.1.*", "self_attn_layer_norm.{}"),
        ("norms.2.*", "final_layer_norm.{}"),
        ("ffn.layers.0.0.*", "fc1.{}"),
        ("ffn.layers.1.*", "fc2.{}"),
    ),
    *_under(
        ("panoptic_head.", TRANSFORMER),
        ("transformer_decoder.post_norm.*", "decoder.layernorm.{}"),
        ("query_embed.weight", "queries_embedder.weight"),
        ("query_feat.weight", "queries_features.weight"),
        ("level_embed.weight", "level_embed.weight"),
        ("mask_embed.0.*", "decoder.mask_predictor.mask_embedder.0.0.{}"),
        ("mask_embed.2.*", "decoder.mask_predictor.mask_embedder.1.0.{}"),
        ("mask_embed.4.*", "decoder.mask_predictor.mask_embedder.2.0.{}"),
        ("decoder_input_projs.#.*", "input_projections.{}.{}"),
    ),
    ("panoptic_head.cls_embed.*", "class_predictor.{}"),
)


def _pattern(left: str) -> re.Pattern[str]:
    return re.compile(re.escape(left).replace(r"\#", r"(\d+)").replace(r"\*", "(weight|bias)"))


_RULES = tuple((_pattern(left), right) for left, right in _TABLE)


def is_version_2(names: Iterable[str]) -> bool:
    """Whether these are the names of mmdet 2.x; 3.x renamed every attention and feed-forward layer of the head."""
    return any(".attentions." in name for name in names)


def in_version_3(name: str) -> str:
    """The 3.x name of a weight with a 2.x name; a 3.x name stays as it is."""
    for pattern, replacement in _RENAMED_IN_3:
        name = re.sub(pattern, replacement, name)
    return name


def targets(name: str) -> tuple[str, ...] | None:
    """transformers' names for one 3.x name: one, three for stacked q, k, v, or () for a buffer. None: unknown."""
    for pattern, right in _RULES:
        if match := pattern.fullmatch(name):
            filled = right.format(*match.groups())
            if not filled:
                return ()
            return tuple(filled.replace("@", part) for part in "qkv") if "@" in filled else (filled,)
    return None
