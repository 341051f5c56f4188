"""The sequence layouts of Show-o, as lists of token ids.

Source: Show-o commit 45a5a2d, training/prompting_utils.py and inference_mmu.py; for the CLIP variants also
llava/llava/conversation.py, whose ``phi1.5`` has no system prompt of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hermes.harness.models.showo.config import MAX_TEXT, Vocabulary

QUESTION = "USER: \n{} ASSISTANT:"
CONVERSATION = "USER: {} ASSISTANT:"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True)
class Layout:
    """Where text and image stand. ``max_text`` counts the text part's tokens without the task token.

    ``system``: the ids of the system prompt, which stands before CLIP's features only.
    """

    vocabulary: Vocabulary
    max_text: int = MAX_TEXT
    system: tuple[int, ...] = ()

    @property
    def image_begin(self) -> int:
        """The place of <soi> in a generation row; the text part is before it."""
        return self.max_text + 1

    def generation_text(self, text: Sequence[int]) -> list[int]:
        """The text part of a generation row, padded on the left; the empty text gives the unconditional one.

        Too long a text loses its end, so that the end token still fits.
        """
        part = self._whole_text(text)
        if self.cuts(text):
            part = [*part[: self.max_text], self.vocabulary.end]
        return [self.vocabulary.pad] * (self.image_begin - len(part)) + part

    def cuts(self, text: Sequence[int]) -> bool:
        """Whether a generation row has no room for the whole text."""
        return len(self._whole_text(text)) > self.image_begin

    def _whole_text(self, text: Sequence[int]) -> list[int]:
        vocabulary = self.vocabulary
        begun = text if text and text[0] == vocabulary.end else [vocabulary.end, *text]
        return [vocabulary.t2i, *begun, vocabulary.end]

    def generation(self, text: Sequence[int], image: Sequence[int]) -> list[int]:
        """A generation row: text part, <soi>, image token ids, <eoi>."""
        return [*self.generation_text(text), self.vocabulary.soi, *image, self.vocabulary.eoi]

    def seen_image(self, image: Sequence[int]) -> list[int]:
        """What an understanding row begins with: task token, <soi>, image token ids, <eoi>."""
        return [self.vocabulary.mmu, self.vocabulary.soi, *image, self.vocabulary.eoi]

    @property
    def features_begin(self) -> int:
        """The place of CLIP's first feature in an understanding row."""
        return len(self.system) + 2

    def seen_features(self, count: int) -> list[int]:
        """What an understanding row of a CLIP variant begins with; the mask token keeps the places of the features."""
        vocabulary = self.vocabulary
        before = [vocabulary.mmu, *self.system, vocabulary.soi]
        return [*before, *[vocabulary.mask] * count, vocabulary.eoi]
