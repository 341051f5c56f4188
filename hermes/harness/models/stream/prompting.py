"""What a family says of itself to `stream.adapter`: how prompts, answers and pictures become rows of tokens."""

from collections.abc import Sequence
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.rows import Share

Codes = Sequence[int]


class Prompting(Protocol):
    """``words`` is the tokenizer. ``codes`` (K,) are the ids of the image codes in order; ``bos`` begins a row, ``pad``
    fills rows of a batch, ``ends`` end a text.
    """

    words: Any
    bos: int
    codes: Tensor
    pad: int
    ends: tuple[int, ...]

    def framed(self, picture: Image.Image, side: int) -> Image.Image:
        """The picture as the model looks at it, before the codec scales it to ``side`` pixels."""
        ...

    def question(self, prompt: str, images: Sequence[Codes]) -> list[int]:
        """The row that asks ``prompt`` about pictures, given by the numbers of their codes."""
        ...

    def answer(self, text: str) -> list[int]:
        """What follows a question that is answered with ``text``, with what ends it."""
        ...

    def drawing(self, prompt: str, images: Sequence[Codes], guidance: float) -> tuple[Share, ...]:
        """The rows that a picture is drawn behind; the first is the prompt's own, and alone where guidance is none."""
        ...

    def unrestricted(self, draw: Draw) -> bool:
        """Whether a picture is drawn from the whole vocabulary; what is no code then becomes the nearest one."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The words of an answer, without special tokens."""
        ...

    def rules(self) -> list[Any]:
        """transformers' logits processors that come before a text's tokens are drawn."""
        ...
