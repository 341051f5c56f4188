"""Notices a server that gives one picture for different prompts, such as a cache that does not look at the prompt."""

from threading import Lock

from PIL import Image

from hermes.harness.records.images import pixel_sha256

FEW = 4
"""From so many prompts on, one picture is no chance."""
WATCHED = 1000
"""So many pictures are looked at, so that a long run holds no more."""


class Sameness:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._prompts: dict[str, set[str]] = {}
        self._left = WATCHED
        self._lock = Lock()

    def see(self, prompt: str, picture: Image.Image) -> str:
        """What to say when one picture has come for FEW different prompts, once; "" otherwise."""
        if self._left <= 0:
            return ""
        digest = pixel_sha256(picture)
        with self._lock:
            self._left -= 1
            prompts = self._prompts.setdefault(digest, set())
            prompts.add(prompt)
            if len(prompts) < FEW or self._left < 0:
                return ""
            self._left = 0
            self._prompts.clear()
        return f"gave the same picture for {FEW} different prompts, such as {prompt[:60]!r}; look at what it serves"
