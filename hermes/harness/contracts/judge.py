"""What a judge offers: answers to questions about images, and, for GenEval, detections."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from PIL import Image

Detections = dict[str, list[dict[str, Any]]]


class Judge(Protocol):
    """``identity`` (name, version, weights) enters the run id and every table row.

    ``abilities`` is what it can do: "answer", "detect", or both. A judge class with ``needs_model = True`` is built
    from the evaluated model, any other by ``load``. Judges are named "name" or "name:argument", as in
    "mplug:checkpoints/mplug"; the argument says which checkpoint or endpoint.

    Offered by some, and looked for: ``replies(images, questions)``, what ``answer`` is made of, word for word; the
    class method ``knows(asked)``, whether it can judge by a question, or by the name of a class to be detected.
    """

    description: ClassVar[str]
    extra: ClassVar[str | None]
    abilities: ClassVar[tuple[str, ...]]
    needs_model: ClassVar[bool]
    identity: str

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package, checkpoint or address; quick, and before any weights are loaded."""
        ...

    @classmethod
    def load(cls, argument: str | None, device: str) -> "Judge": ...

    def answer(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question); an empty string where the image cannot be read.

        Yes/no questions are answered "yes" or "no" where the reply means that, and with the reply itself where it does
        not. The same image may come several times in a row, as the same object. Raises JudgeError where one cannot be
        answered: the caller then asks image by image.
        """
        ...

    def detect(self, images: "Sequence[Image.Image]", colored: Sequence[Collection[str]]) -> list[Detections]:
        """For each image ``{class: [{"box": [x0, y0, x1, y1], "score": float, "color": str | None}]}``.

        ``colored`` names for each image the classes whose boxes need a colour; the others may have None.
        """
        ...


def word_for_word(judge: Judge, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
    """What the judge replies to each (image, question), as far as it tells, else what it answers."""
    replies: list[str] = getattr(judge, "replies", judge.answer)(images, questions)
    return replies
