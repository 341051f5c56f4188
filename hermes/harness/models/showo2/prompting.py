"""What Show-o2 is given: token ids of questions and of prompts for pictures.

Source: showlab/Show-o, commit 45a5a2d, show-o2. Pieces of a question are tokenised apart. As trained, a line break
stands behind the picture and <|im_end|> behind the question; the demo has neither.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.models.pretrained import loading
from hermes.harness.models.showo2.places import WHO
from hermes.harness.system.errors import HermesError

SYSTEM = "system\nYou are a helpful assistant.<|im_end|>"
USER, ASSISTANT = "\n<|im_start|>user\n", "\n<|im_start|>assistant\n"
PAD = "[PAD]"
ADDED = ("<image>", "<|vid_start|>", "<|vid_end|>")


class Words:
    """Qwen2.5's tokenizer with the four tokens that Show-o2 adds."""

    def __init__(self, folder: Path) -> None:
        import transformers

        kind: Any = transformers.AutoTokenizer
        with loading(f"{WHO}: the tokenizer of {folder}", "; give that of Qwen2.5-Instruct"):
            self.tokenizer: Any = kind.from_pretrained(str(folder), trust_remote_code=False)
            self.tokenizer.add_special_tokens({"pad_token": PAD})
            self.tokenizer.add_tokens(list(ADDED))
        self.pad: int = self.tokenizer.pad_token_id
        self.bos, self.eos, self.begin, self.end, self.image = (
            self._one(name, folder)
            for name in ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
        )

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _one(self, name: str, folder: Path) -> int:
        found = self.tokenizer.convert_tokens_to_ids(name)
        if not isinstance(found, int) or found == self.tokenizer.unk_token_id:
            raise HermesError(f"{WHO}: the tokenizer of {folder} has no token {name}; give that of Qwen2.5-Instruct")
        return found


@dataclass(frozen=True)
class Question:
    """``before``: ids before the picture, which ends in the id that begins it; ``after``: those behind it.

    Of a question without a picture the two follow each other.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]


def question(words: Words, prompt: str, pictured: bool, released: bool = False) -> Question:
    """A question about one picture, or about none; ``released`` is the demo's form."""
    before = [words.bos, *words.encode(SYSTEM), *words.encode(USER)]
    asked = words.encode(prompt if released or not pictured else f"\n{prompt}")
    after = [*asked, *([] if released else [words.eos]), *words.encode(ASSISTANT)]
    if pictured:
        return Question((*before, words.begin), (words.end, *after))
    return Question(tuple(before), tuple(after))


def answer(words: Words, text: str) -> tuple[int, ...]:
    """The ids of an answer and its end."""
    return (*words.encode(text.strip()), words.eos)


def drawing(words: Words, prompt: str, most: int) -> tuple[tuple[int, ...], bool]:
    """The ids before a picture that is drawn, and whether the prompt was cut to ``most`` tokens."""
    ids = words.encode(prompt)
    return (words.bos, *ids[:most], words.begin), len(ids) > most


def drawing_row(words: Words, prompt: str, tokens: int, most: int) -> list[int]:
    """A whole row, as the training and the authors' script have it: what stands behind the picture changes nothing."""
    before, _ = drawing(words, prompt, most)
    row = [*before, *[words.image] * tokens, words.end, words.eos]
    return [*row, *[words.pad] * (most + tokens + 4 - len(row))]
