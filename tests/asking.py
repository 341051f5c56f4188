"""What tests ask models that understand and generate: questions about pictures, and prompts, each with a seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request

QUESTIONS = ("Is there a dog?", "What stands to the left of the small red square?", "Why?")
PROMPTS = ("a red square", "two blue circles above a green triangle", "a cat")


def noise(number: int, size: tuple[int, int] = (24, 16)) -> ImageHandle:
    """A picture of width x height random pixels; another one for each number."""
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return ImageHandle(Image.fromarray(values))


def request(prompt: str, number: int = 0, images: tuple[ImageHandle, ...] = (), **config: Any) -> Request:
    return Request(
        sample_id=f"s{number}",
        index=0,
        prompt=prompt,
        images=images,
        config=GenerationConfig(**config),
        seed=1000 + number,
    )


def asked(picture: Callable[[int], ImageHandle] = noise, **config: Any) -> list[Request]:
    """A request for each of QUESTIONS, each about a picture of its own."""
    settings = {"max_new_tokens": 12} | config
    return [request(text, n, (picture(n),), **settings) for n, text in enumerate(QUESTIONS)]


def drawn(**config: Any) -> list[Request]:
    """A request for each of PROMPTS."""
    return [request(text, n, **config) for n, text in enumerate(PROMPTS)]


def pixels(pictures: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in pictures]
