"""What a judge offers: answers about images, detections, probabilities of answers, free replies, scores, features."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypedDict

if TYPE_CHECKING:
    from PIL import Image

Detections = dict[str, list[dict[str, Any]]]


class Weighed(TypedDict):
    """How a reply begins: the probability of each first token by its text, the most probable one always among them.

    ``rest`` is that of all tokens that are not listed. ``pieces`` names the first token of each spelling that is not
    one token; None: the judge cannot tell.
    """

    tokens: dict[str, float]
    rest: float
    pieces: dict[str, str] | None


class Rated(TypedDict):
    """The score of a picture, on its scorer's own scale. ``cut``: the scorer did not read the prompt to its end."""

    score: float
    cut: bool


class Judge(Protocol):
    """``identity`` (name, version, weights) enters the run id and every table row.

    ``abilities`` is what it can do, by the methods that it then has: "answer", "detect", "weigh" (`Weigher`), "write"
    (`Writer`), "compare" (`Comparer`), "liken" (`Likener`), "score" (a task's own scorer), or the name of the
    score that it gives to pictures (`Rater`). A judge class with ``needs_model = True`` is built from the evaluated
    model, any other by ``load``. Judges are named "name" or "name:argument", as in "mplug:checkpoints/mplug"; the
    argument says which checkpoint or endpoint.

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


class Weigher(Protocol):
    """A judge that can "weigh"."""

    def weigh(
        self, images: "Sequence[Image.Image]", questions: Sequence[str], spellings: Sequence[Collection[str]]
    ) -> list[Weighed]:
        """How probable it is that the greedy reply to each (image, question), asked as it stands, begins so.

        ``spellings`` are for each question the texts whose first tokens are wanted. Raises JudgeError where one cannot
        be answered.
        """
        ...


class Writer(Protocol):
    """A judge that can "write"."""

    def write(
        self, images: "Sequence[Image.Image]", texts: Sequence[str], system: str, max_tokens: int, attempt: int
    ) -> list[str]:
        """The greedy reply to each text with its image, asked as it stands after the ``system`` prompt.

        ``attempt`` counts from 0 how often the same was asked before: a stored reply stands for its own alone. Raises
        JudgeError where one cannot be answered.
        """
        ...


class Likener(Protocol):
    """A judge that can "liken"."""

    def liken(self, pairs: "Sequence[tuple[str | Image.Image, str | Image.Image]]") -> list[dict[str, float]]:
        """How alike the two of each pair are, texts or pictures, by the name of each encoder: a cosine, -1..1."""
        ...


class Rater(Protocol):
    """A judge that gives a score of `required.RATINGS`, which its abilities name."""

    def rate(self, images: "Sequence[Image.Image]", prompts: Sequence[str]) -> list[Rated]:
        """The score of each image, drawn for the prompt at its place. Raises JudgeError where one cannot be rated."""
        ...


class Comparer(Protocol):
    """A judge that can "compare": it was given a set of real pictures, of which ``reference`` names the statistics."""

    reference: str

    def features(self, images: "Sequence[Image.Image]") -> list[list[float]]:
        """The features (width,) of each image, in float32. Raises JudgeError where one has none."""
        ...


def word_for_word(judge: Judge, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
    """What the judge replies to each (image, question), as far as it tells, else what it answers."""
    replies: list[str] = getattr(judge, "replies", judge.answer)(images, questions)
    return replies
