"""A model as a third party writes one: its answers follow from the request's pixels, prompt and seed alone."""

import atexit
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image
from theirs.noting import note_asked

from hermes.harness.records.images import pixel_sha256
from hermes.harness.records.types import Ability, ModelInfo, Request

WORDS = ("yes", "no", "1", "2", "3", "4", "Yes.", "perhaps")
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


class TheirModel:
    """Guesses; takes THEIRS_SECONDS for each batch, and notes in the folder THEIRS_LOG what each process is asked."""

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "0"
    description: ClassVar[str] = "guesses by the seed"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = False
    world: ClassVar[str] = "shapes"

    def __init__(self) -> None:
        self.info = ModelInfo(name="theirs", fingerprint="theirs-1", abilities=self.abilities, resolution=8)

    @classmethod
    def load(cls, reference: str, device: str) -> "TheirModel":
        atexit.register(_note_what_is_open)
        return cls()

    def understand(self, requests: Sequence[Request]) -> list[str]:
        _take_time(requests)
        return [self._random(request).choice(WORDS) for request in requests]

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        _take_time(requests)
        return [Image.new("RGB", (8, 8), self._random(request).choice(COLORS)) for request in requests]

    def _random(self, request: Request) -> random.Random:
        pixels = [pixel_sha256(handle.open()) for handle in request.images]
        return random.Random(f"{request.seed} {request.prompt} {pixels}")


def _note_what_is_open() -> None:
    """Whether the process ends as a member of a group of processes."""
    if folder := os.environ.get("THEIRS_LOG"):
        distributed = sys.modules.get("torch.distributed")
        is_open = distributed is not None and distributed.is_initialized()
        Path(folder, f"end.{os.getpid()}").write_text("open" if is_open else "closed")


def _take_time(requests: Sequence[Request]) -> None:
    note_asked("model", (request.key for request in requests))
    time.sleep(float(os.environ.get("THEIRS_SECONDS", "0")))
