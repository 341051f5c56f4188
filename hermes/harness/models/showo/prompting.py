"""The two sequence layouts of Show-o, as lists of token ids.

Source: Show-o commit 45a5a2d, training/prompting_utils.py and inference_mmu.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hermes.harness.models.showo.config import MAX_TEXT, Vocabulary

QUESTION = "USER: \n{} ASSISTANT:"


@dataclass(frozen=True)
class Layout:
    """Where text and image stand. ``max_text`` counts the text part's tokens without the task token."""

    vocabulary: Vocabulary
    max_text: int = MAX_TEXT

    @property
    def image_begin(self) -> int:
        """The place of <soi> in a generation row; the text part is before it."""
        return self.max_text + 1

    def generation_text(self, text: Sequence[int]) -> list[int]:
        """The text part of a generation row, padded on the left; the empty text gives the unconditional one.

        Too long a text loses its end, so that the end token still fits.
        """
        vocabulary = self.vocabulary
        begun = text if text and text[0] == vocabulary.end else [vocabulary.end, *text]
        part = [vocabulary.t2i, *begun, vocabulary.end]
        if len(part) > self.image_begin:
            part = [*part[: self.max_text], vocabulary.end]
        return [vocabulary.pad] * (self.image_begin - len(part)) + part

    def generation(self, text: Sequence[int], image: Sequence[int]) -> list[int]:
        """A generation row: text part, <soi>, image token ids, <eoi>."""
        return [*self.generation_text(text), self.vocabulary.soi, *image, self.vocabulary.eoi]

    def seen_image(self, image: Sequence[int]) -> list[int]:
        """What an understanding row begins with: task token, <soi>, image token ids, <eoi>."""
        return [self.vocabulary.mmu, self.vocabulary.soi, *image, self.vocabulary.eoi]
