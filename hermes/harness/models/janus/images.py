"""Image tokens to pictures and back, through the checkpoint's VQ model and image processor."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from hermes.harness.models.full_float32 import full_float32


def side(network: Any) -> int:
    """Width and height of a generated image in pixels."""
    config = network.config.vq_config
    return int(config.num_patches * 2 ** (len(config.channel_multiplier) - 1))


@torch.inference_mode()
def decode(network: Any, processor: Any, codes: Tensor) -> Image.Image:
    """One image from its codes (T,); one at a time, so that companions cannot change a pixel."""
    with full_float32(str(codes.device)):
        pixels = network.decode_image_tokens(codes[None]).float()
    values = processor.postprocess(list(pixels), return_tensors="pt")["pixel_values"][0]
    return Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


@torch.inference_mode()
def encode(network: Any, pixels: Tensor) -> list[int]:
    """The codes of one processed image (3, S, S), row by row.

    Code vectors are compared by their direction, as the VQ model was trained (deepseek-ai/Janus, janus/models/
    vq_model.py, codebook_l2_norm) and as its decoder reads them; transformers' own ``encode`` leaves that out.
    """
    vq = network.model.vqmodel
    with full_float32(str(pixels.device)):
        states = vq.quant_conv(vq.encoder(pixels[None]))[0].flatten(1).T
    table = vq.quantize.embedding.weight
    codes: list[int] = (normalize(states, dim=-1) @ normalize(table, dim=-1).T).argmax(-1).tolist()
    return codes
