"""The exact judge of the shapes world: it parses the picture and answers from what it read."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from hermes.harness.contracts.judge import Detections
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import coverage
from hermes.shapes.parse import Parsed, parse_many
from hermes.shapes.questions import answer
from hermes.shapes.scene import SHAPES, Obj

VERSION = "1"


class OracleJudge:
    """Answers the questions of the shapes grammar and detects shapes. What it cannot read is not an object."""

    description: ClassVar[str] = "reads shapes pictures exactly; answers the questions of the shapes world only"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer", "detect")
    needs_model: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False
    identity = f"oracle-{VERSION}"

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Nothing can be missing."""

    @classmethod
    def knows(cls, asked: str) -> bool:
        """Whether it is a question of the drawn world, or one of its shapes."""
        return asked in SHAPES or answer(asked, ()) is not None

    @classmethod
    def load(cls, argument: str | None = None, device: str = "cpu") -> "OracleJudge":
        """There is nothing to load; both arguments are those of every judge."""
        return cls()

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question); empty where the picture has no plain background.

        A picture that is asked several questions is parsed once. Raises HermesError for a question it does not know.
        """
        distinct = {id(image): image for image in images}
        parsed = dict(zip(distinct, parse_many(list(distinct.values())), strict=True))
        return [_reply(parsed[id(image)], question) for image, question in zip(images, questions, strict=True)]

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        """For each image ``{shape: [{"box", "score", "color"}]}``, boxes in pixels of the 48 x 48 canvas."""
        found: list[Detections] = []
        for parsed in parse_many(images):
            classes: dict[str, list[dict[str, Any]]] = {}
            for obj in parsed.objects:
                classes.setdefault(obj.shape, []).append({"box": _box(obj), "score": 1.0, "color": obj.color})
            found.append(classes)
        return found


def _reply(parsed: Parsed, question: str) -> str:
    if not parsed.readable:
        return ""
    reply = answer(question, parsed.objects)
    if reply is None:
        raise HermesError(f"judge oracle: {question!r} is not a question of the shapes world; choose another judge")
    return reply


def _box(obj: Obj) -> list[float]:
    """[x0, y0, x1, y1] around the pixels that are at least half covered."""
    rows, columns = np.nonzero(coverage(obj) >= 0.5)
    return [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]
