"""Names of the VQGAN's tensors: those of diffusers' VQModel as they are published (CompVis/taming-transformers')."""

import re

INSIDE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_q": "mid.attn_1.q",
    "mid_block.attentions.0.to_k": "mid.attn_1.k",
    "mid_block.attentions.0.to_v": "mid.attn_1.v",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0.conv": "downsample.conv",
    "upsamplers.0.conv": "upsample.conv",
}
LEVEL = re.compile(r"(down|up)_blocks\.(\d+)\.(?:resnets\.(\d+))?")
CONVOLVED = re.compile(r"mid\.attn_1\.(q|k|v|proj_out)\.weight")


def published(name: str, levels: int) -> str:
    """The published name of diffusers' tensor ``name``; the decoder's levels are counted the other way round."""
    if level := LEVEL.search(name):
        way, number, block = level.groups()
        at = int(number) if way == "down" else levels - 1 - int(number)
        name = name.replace(level[0], f"{way}.{at}." + (f"block.{block}" if block else ""))
    for theirs, ours in INSIDE.items():
        name = name.replace(theirs, ours)
    return name


def is_convolution(name: str) -> bool:
    """Whether the published tensor is a 1 x 1 convolution that diffusers has as a matrix."""
    return bool(CONVOLVED.search(name))
