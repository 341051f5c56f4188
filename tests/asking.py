"""What tests ask models that understand and generate: questions about pictures, prompts, and whole runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import hermes
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


def assert_same_in_other_batches(model: Any, folder: Path, drawing: str = "homologous-g", limit: int = 2) -> None:
    """A whole run of both sides, by the model or its reference, in batches of eight and of one."""
    runs = [
        hermes.evaluate(
            model=model,
            tasks=("homologous-u", drawing),
            data="shapes",
            judge="oracle",
            limit=limit,
            batch_size=size,
            device="cpu",
            out=folder / str(size),
            progress=False,
        )
        for size in (8, 1)
    ]
    assert runs[0]["run_id"] == runs[1]["run_id"]
    assert runs[0]["results"] == runs[1]["results"]
    assert runs[0]["results"]["homologous-u"].n > 0
    assert all(result.counts.get("error", 0) == 0 for result in runs[0]["results"].values())
