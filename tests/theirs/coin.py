"""A judge that needs no good pictures: it says yes or no by a hash, so that candidates of random weights differ."""

import hashlib
from collections.abc import Collection, Sequence
from typing import ClassVar

from PIL import Image

from hermes.harness.contracts.judge import Detections


class Coin:
    """Tosses a coin for each picture and question; the same ones always give the same answer."""

    description: ClassVar[str] = "says yes or no by a hash of picture and question"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer",)
    needs_model: ClassVar[bool] = False
    identity = "theirs-coin-1"

    @classmethod
    def check(cls, argument: str | None) -> None: ...

    @classmethod
    def load(cls, argument: str | None, device: str) -> "Coin":
        return cls()

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        pairs = zip(images, questions, strict=True)
        return ["yes" if _odd(image.tobytes() + question.encode()) else "no" for image, question in pairs]

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        return [{} for _ in images]


def _odd(data: bytes) -> bool:
    return bool(hashlib.sha256(data).digest()[0] % 2)
