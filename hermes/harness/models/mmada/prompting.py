"""The sequence layouts of MMaDA, as lists of token ids, and the words around a question.

Source: Gen-Verse/MMaDA commit 3cdb870, training/prompting_utils.py, inference_mmu.py, generate.py, and its copy of
VLMEvalKit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hermes.harness.models.mmada.config import MAX_TEXT, Vocabulary

BOS = "<|startoftext|>"
ASKED = "<|start_header_id|>user<|end_header_id|>\n{}{}<|start_header_id|>assistant<|end_header_id|>\n"
# The authors' benchmark code and captions end a question with the second, which is no token but ordinary text.
END, MISSPELT_END = "<|eot_id|>", "<eot_id>"


def encoded(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text, special tokens that are written out among them; none is added."""
    return [int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


def question_ids(tokenizer: Any, prompt: str, misspelt: bool = False) -> list[int]:
    """The ids that ask a question: the chat template of the authors' scripts and demo, or their benchmarks' string."""
    asked = ASKED.format(prompt, MISSPELT_END) if misspelt else ASKED.format(prompt.strip(), END)
    return encoded(tokenizer, BOS + asked)


@dataclass(frozen=True)
class Layout:
    """Where text and image stand. ``max_text`` counts the text part's tokens without the task token."""

    vocabulary: Vocabulary
    max_text: int = MAX_TEXT

    def generation_text(self, text: Sequence[int]) -> list[int]:
        """The text part of a generation row without its pads; the empty text gives the unconditional one.

        Too long a text loses its end, so that the end token still fits.
        """
        part = self._whole_text(text)
        return [*part[: self.max_text], self.vocabulary.eos] if self.cuts(text) else part

    def pads(self, text: Sequence[int]) -> int:
        """How many pads the published layout has before the text part. No token sees them, but they take places."""
        return self.max_text + 1 - len(self.generation_text(text))

    def cuts(self, text: Sequence[int]) -> bool:
        """Whether a generation row has no room for the whole text."""
        return len(self._whole_text(text)) > self.max_text + 1

    def generation(self, text: Sequence[int], image: Sequence[int]) -> list[int]:
        """A generation row without its pads: text part, <soi>, image token ids, <eoi>."""
        return [*self.generation_text(text), self.vocabulary.soi, *image, self.vocabulary.eoi]

    def seen_image(self, image: Sequence[int]) -> list[int]:
        """What a row about an image begins with: task token, <soi>, image token ids, <eoi>."""
        return [self.vocabulary.mmu, self.vocabulary.soi, *image, self.vocabulary.eoi]

    def begun(self, text: Sequence[int]) -> list[int]:
        """The text behind the token that begins every text."""
        bos = self.vocabulary.bos
        return [*text] if text and text[0] == bos else [bos, *text]

    def _whole_text(self, text: Sequence[int]) -> list[int]:
        return [self.vocabulary.t2i, *self.begun(text), self.vocabulary.eos]
