"""What a judge offers: answers to questions about images, and, for GenEval, detections."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from PIL import Image


class Judge(Protocol):
    """``identity`` (name, version, weights) enters the run id and every table row.

    ``abilities`` is what it can do: "answer", "detect", or both. A judge class with ``needs_model = True`` is built
    from the evaluated model, any other by ``load(reference, device)``.
    """

    description: ClassVar[str]
    extra: ClassVar[str | None]
    abilities: ClassVar[tuple[str, ...]]
    identity: str

    def answer(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question); an empty string where the image cannot be read."""
        ...

    def detect(self, images: "Sequence[Image.Image]") -> list[dict[str, list[dict[str, Any]]]]:
        """For each image ``{class: [{"box": [x0, y0, x1, y1], "score": float, "color": str | None}]}``."""
        ...
