"""What a vision-language model is asked, and the error of what it cannot answer."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Ask:
    """One prompt about any number of images. ``temperature`` 0 is greedy; ``top_k`` 0 draws from all tokens."""

    prompt: str
    images: tuple[Image.Image, ...]
    max_new_tokens: int
    temperature: float = 0.0
    top_k: int = 0
    seed: int = 0


class Unanswered(RuntimeError):
    """The model or its processor failed on a prompt or its images; the next one may well be answered."""
