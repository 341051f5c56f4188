"""Pictures to image tokens and back, through the checkpoint's VQ model and image processor."""

from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hermes.harness.system.errors import HermesError


@dataclass(frozen=True)
class Tokens:
    """The tokens of an image: ``codes`` (K,), the ids of the VQ model's K codes, rising, and what stands around them.

    A picture of H x W codes is written as H lines of W codes, each with a ``line_end``; then come the other three.
    """

    codes: Tensor
    line_end: int
    frame_end: int
    image_end: int
    sequence_end: int

    def forced(self, place: int, height: int, width: int) -> int | None:
        """The only token that may stand at the ``place``-th position (from 0) of a picture; None where a code does."""
        if place >= height * (width + 1):
            tail = (self.frame_end, self.image_end, self.sequence_end)
            return tail[min(place - height * (width + 1), 2)]
        return self.line_end if place % (width + 1) == width else None


def tokens_of(network: Any, processor: Any, source: str) -> Tokens:
    """The image tokens of a checkpoint. Raises HermesError where its vocabulary and its VQ model do not fit."""
    mapping, words = network.vocabulary_mapping, processor.tokenizer
    vq = network.config.vq_config
    codes = torch.tensor(mapping.image_tokens, dtype=torch.long)
    ends = (mapping.eol_token_id, words.eof_token_id, words.eoi_token_id, words.eos_token_id)
    size = network.get_output_embeddings().weight.shape[0]
    if None in ends or len(codes) != vq.codebook_size or max(*mapping.image_tokens, *ends) >= size:
        raise HermesError(
            f"emu3: the vocabulary_map of {source} does not fit its weights ({len(codes)} image tokens for "
            f"{vq.codebook_size} codes); download its config.json and tokenizer again"
        )
    if network.model.vqmodel.vision_spatial_factor != processor.downsample_ratio:
        raise HermesError(
            f"emu3: {source} has {network.model.vqmodel.vision_spatial_factor} pixels a code, and transformers' "
            f"Emu3Processor takes {processor.downsample_ratio} only; give a published checkpoint"
        )
    return Tokens(codes, *ends)


def default_side(network: Any, processor: Any) -> int:
    """Width and height in pixels of a generated image.

    They come from the area in pixels that config.json names, as the authors' own checkpoints do, or else the
    processor's (720 x 720).
    """
    area = getattr(network.config, "image_area", None) or processor.image_area
    rows, _ = processor.calculate_generate_size("1:1", area, processor.downsample_ratio)
    return int(rows * processor.downsample_ratio)


def check_side(network: Any, processor: Any, side: int) -> None:
    """Raise HermesError for a size that the model cannot draw."""
    factor, places = processor.downsample_ratio, network.config.text_config.max_position_embeddings
    rows = side // factor
    if rows < 1 or side % factor or rows * (rows + 1) >= places:
        largest = (isqrt(4 * places) - 1) // 2 * factor
        raise HermesError(
            f"image_size: the model draws sides of a multiple of {factor} px up to about {largest}, not {side}; "
            "give another or leave it out"
        )


@torch.inference_mode()
def encode(network: Any, pixels: Tensor, sizes: Tensor) -> Tensor:
    """The tokens of processed images (N, 3, H, W) of the given (height, width), each line with its end, in one row.

    As in transformers, images of one call share the frame of the largest, which their codes depend on.
    """
    tokens: Tensor = network.model.get_image_tokens(pixels.to(network.device), sizes)
    return tokens.long().cpu()


@torch.inference_mode()
def decode(network: Any, processor: Any, tokens: Tensor, side: int) -> Image.Image:
    """One image from its tokens, ends included; one at a time, so that companions cannot change a pixel."""
    rows = side // processor.downsample_ratio
    pixels = network.decode_image_tokens(image_tokens=tokens[None], height=rows, width=rows)
    picture: Image.Image = processor.postprocess(list(pixels.float()))["pixel_values"][0]
    return picture


def fitted(processor: Any, picture: Image.Image, side: int) -> tuple[Tensor, Tensor]:
    """Pixels (1, 3, H, W) and size (1, 2) of a picture in its own shape, with the area of side x side.

    A picture that was drawn with that side is not resampled.
    """
    factor = processor.downsample_ratio
    rows, columns = processor.calculate_generate_size(shape(picture), side * side, factor)
    if not rows or not columns:
        raise HermesError(f"image: {picture.width} x {picture.height} px is too narrow to be a drawing; leave it out")
    wanted = (columns * factor, rows * factor)
    images = processor.image_processor
    if picture.size != wanted:
        picture = picture.convert("RGB").resize(wanted, images.resample)
    ready = images(picture, do_resize=False, return_tensors="pt")
    return ready["pixel_values"], ready["image_sizes"]


def shape(picture: Image.Image) -> str:
    """Width to height as Emu3Processor takes it."""
    return f"{picture.width}:{picture.height}"
