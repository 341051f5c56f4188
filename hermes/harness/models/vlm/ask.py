"""What a vision-language model is asked, and the error of what it cannot answer."""

from dataclasses import dataclass
from typing import Any

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


def conversation(prompt: str, images: int, reply: str | None = None) -> list[dict[str, Any]]:
    """What chat templates take: a turn of the user's, images first, and the assistant's where it has replied."""
    asked = {"role": "user", "content": [{"type": "image"}] * images + [{"type": "text", "text": prompt}]}
    replied = {"role": "assistant", "content": [{"type": "text", "text": reply}]}
    return [asked] if reply is None else [asked, replied]


class Unanswered(RuntimeError):
    """The model or its processor failed on a prompt or its images; the next one may well be answered."""
