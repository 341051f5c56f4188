"""A model of one's own: it counts dark pixels to understand, and paints the colour that a prompt names to generate."""

from collections.abc import Sequence

from PIL import Image

from hermes.harness.contracts.model import Model
from hermes.harness.records.types import Request

COLORS = ("red", "green", "blue", "yellow", "black")


class Pixels(Model):
    """Counts squares by their dark pixels, paints one colour."""

    uses_torch = False

    def understand(self, requests: Sequence[Request]) -> list[str]:
        return [self.count(request.images[0].open()) for request in requests]

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        return [self.paint(request.prompt) for request in requests]

    def count(self, picture: Image.Image) -> str:
        return str(round(sum(picture.convert("L").histogram()[:64]) / 64))

    def paint(self, prompt: str) -> Image.Image:
        named = [color for color in COLORS if color in prompt]
        return Image.new("RGB", (48, 48), named[0] if named else "white")
