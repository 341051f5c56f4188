"""Prompts as Emu3 reads them: the checkpoint's chat template and processor around a question or an image prompt."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hermes.harness.models.emu3.images import encode

# The first words of the authors' own template (baaivision/Emu3, emu3/mllm/processing_emu3.py), which the template of
# the converted checkpoints takes as a system message.
SYSTEM = "You are a helpful assistant."


def question(processor: Any, prompt: str, images: int) -> str:
    """The chat text that asks ``prompt`` about ``images`` pictures, which stand before it."""
    return str(processor.apply_chat_template(_asked(prompt, images), add_generation_prompt=True))


def answer(processor: Any, prompt: str, images: int, text: str) -> str:
    """What the chat template writes behind ``question`` where the assistant says ``text``; without the end token."""
    said = [*_asked(prompt, images), {"role": "assistant", "content": [{"type": "text", "text": text.strip()}]}]
    whole = str(processor.apply_chat_template(said))
    before = question(processor, prompt, images)
    behind = whole[len(before) :] if whole.startswith(before) else text
    # The template sets a space behind each message, where an answer that the model gives has its end token.
    return behind.rstrip().removesuffix(processor.tokenizer.eos_token).rstrip()


def question_ids(network: Any, processor: Any, prompt: str, images: Sequence[Image.Image]) -> list[int]:
    """The tokens of a question, with those of its images in their places.

    Each question is processed alone: in a batch transformers pads images to one size before it encodes them, and their
    codes would depend on the companions.
    """
    text = question(processor, prompt, len(images))
    inputs = processor(text=[text], images=list(images) or None, return_tensors="pt")
    ids: Tensor = inputs["input_ids"][0]
    if images:
        codes = encode(network, inputs["pixel_values"], inputs["image_sizes"])
        ids = ids.masked_scatter(ids == processor.image_token_id, codes)
    return [int(token) for token in ids]


def padded(rows: Sequence[Sequence[int]], pad: int) -> dict[str, Tensor]:
    """Token ids (B, L), padded on the left, and their mask."""
    length = max(len(row) for row in rows)
    ids = [[pad] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def drawing_ids(processor: Any, prompt: str, side: int, shape: str = "1:1") -> list[int]:
    """The tokens that ask for a picture of side x side pixels, or of that area in another shape ("3:2").

    The prompt stands as it is; it ends with the picture's size and the token that its lines follow.
    """
    inputs = processor(text=[prompt], return_for_image_generation=True, ratio=shape, image_area=side * side)
    return [int(token) for token in inputs["input_ids"][0]]


def _asked(prompt: str, images: int) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "image"} for _ in range(images)]
    return [
        {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
        {"role": "user", "content": [*content, {"type": "text", "text": prompt}]},
    ]
