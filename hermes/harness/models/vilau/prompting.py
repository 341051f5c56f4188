"""Prompts as VILA-U reads them, and its rule from text to token ids.

Source: mit-han-lab/vila-u, commit 096623c (its conversation template and tokenizer_image_token), and the slow Llama
tokenizer of transformers 4.36 with legacy=False. A prompt is cut at its pictures into parts, and each part is encoded
on its own: it begins with sentencepiece's leading space, unless a special token stands there.
"""

from collections.abc import Sequence
from pathlib import Path

from hermes.harness.models.pieces import MODEL, Pieces
from hermes.harness.system.errors import HermesError

IMAGE = -200
"""Stands in token ids for one position of a picture, as it does in the authors' code for a whole one."""
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)
BEGIN, END, MARK, UNKNOWN = "<im_start>", "<im_end>", "▁", "<unk>"


class Words(Pieces):
    """The tokenizer. ``begin`` and ``end`` stand around a picture that is drawn; ``video`` begins a film."""

    def __init__(self, folder: Path, who: str) -> None:
        super().__init__(folder, who)
        if lost := [name for name in (BEGIN, END, "<vi_start>", "<vi_end>") if name not in self.added]:
            raise HermesError(f"{who}: the tokenizer in {folder} lacks {lost[0]}; download the checkpoint again")
        self.begin, self.end, self.video = (self.added[name] for name in (BEGIN, END, "<vi_start>"))
        self.bos, self.eos = int(self.words.bos_id()), int(self.words.eos_id())
        self.pad = int(self.words.unk_id())
        if min(self.bos, self.eos, self.pad) < 0:
            raise HermesError(f"{who}: {folder / MODEL} has no <s>, </s> or <unk>; download the checkpoint again")
        self._before = len(self.words.encode(UNKNOWN))

    def part(self, text: str) -> list[int]:
        """The ids of one part of a prompt, without the begin token.

        "<unk>" before a stretch keeps sentencepiece from putting a space there, as transformers does it.
        """
        ids: list[int] = []
        if not text:
            return ids
        for number, piece in enumerate(self.cut(MARK + text)):
            if isinstance(piece, int):
                ids = [piece] if number == 1 and self._is_mark(ids) else [*ids, piece]
            else:
                ids += self.words.encode(UNKNOWN + piece)[self._before :]
        return ids

    def prompt(self, parts: Sequence[str], positions: int) -> list[int]:
        """A whole prompt: the begin token, and its parts with a picture of so many positions between any two."""
        ids = [self.bos]
        for number, text in enumerate(parts):
            ids += [IMAGE] * positions * bool(number) + self.part(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        special = {*self.control.values(), *self.added.values()}
        pieces = self.words.get_piece_size()
        return str(self.words.decode([token for token in ids if token < pieces and token not in special]))

    def _is_mark(self, ids: list[int]) -> bool:
        return len(ids) == 1 and self.words.id_to_piece(ids[0]) == MARK


def question(prompt: str, images: int) -> list[str]:
    """The parts of a question about so many pictures, which stand before it, each on a line.

    The authors' inference has no <im_start> and <im_end> here, although their training has.
    """
    asked = prompt.strip()
    if not images:
        return [f"{_user(asked)}ASSISTANT:"]
    # The whole text is stripped: an empty question takes the last line's end along.
    last = f"\n{asked} ASSISTANT:" if asked else " ASSISTANT:"
    return [f"{SYSTEM} USER: ", *["\n"] * (images - 1), last]


def answer(words: Words, text: str) -> list[int]:
    """The ids that follow ``question`` where the assistant says ``text``: from its first piece to the end token."""
    return words.part(f"{text.strip()}</s>")


def drawing(prompt: str) -> str:
    """What asks for a picture; its positions follow. An empty prompt, which guidance leads away from, has no spaces."""
    return f"{_user(prompt.strip())}ASSISTANT: {BEGIN}"


def _user(text: str) -> str:
    return f"{SYSTEM} USER: {text} " if text else f"{SYSTEM} USER:"
