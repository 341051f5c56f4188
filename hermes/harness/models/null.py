"""The null model: answers at once and knows nothing. It measures the harness, and what guessing scores."""

from collections.abc import Sequence
from typing import ClassVar

from PIL import Image

from hermes.harness.records.types import Ability, ModelInfo, Request


class NullModel:
    """Says "yes" to everything and draws a flat grey picture."""

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    parameters: ClassVar[str] = "0"
    description: ClassVar[str] = 'says "yes", draws grey: measures the harness itself'
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = False
    world: ClassVar[str] = "shapes"
    uses_torch: ClassVar[bool] = False

    def __init__(self) -> None:
        self.info = ModelInfo(name="null", fingerprint="null-1", abilities=self.abilities, resolution=48)

    @classmethod
    def load(cls, reference: str, device: str) -> "NullModel":
        return cls()

    def understand(self, requests: Sequence[Request]) -> list[str]:
        return ["yes"] * len(requests)

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        return [Image.new("RGB", (48, 48), (160, 160, 160))] * len(requests)
