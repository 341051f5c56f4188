"""Rows of tokens as Anole and Chameleon read and write them.

Source: GAIR-NLP/anole af563fa with Meta's inference code (chameleon/inference/chameleon.py, vocab.py), text2image.py.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from PIL import Image
from transformers import RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor

from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.rows import Share
from hermes.harness.system.errors import HermesError

BOS, PAD, EOS = "<s>", "<pad>", "</s>"
BEGIN, END, TURN = "<racm3:break>", "<eoss>", "<reserved08706>"
LETTERS = str.maketrans("0123456789", "ABCDEFGHIJ")
IMAGE_GUIDANCE = 1.2
PENALTY = 1.2


class AnolePrompting:
    """``words`` is the tokenizer, which knows all ``count`` codes by their names.

    ``as_released``: texts are written in Meta's text mode, which forbids all tokens that begin with "<" but "<" itself
    and divides the logits of tokens that are in the row by ``penalty``. Else only image tokens are forbidden, as in
    transformers. Raises HermesError where a token is missing.
    """

    def __init__(self, words: Any, count: int, where: str, as_released: bool = False, penalty: float = PENALTY) -> None:
        self.words, self.as_released, self.penalty = words, as_released, penalty
        known: Mapping[str, int] = words.get_vocab()
        names = [f"IMGIMG{str(number).translate(LETTERS)}Z" for number in range(count)]
        wanted = (BOS, PAD, EOS, BEGIN, END, TURN, *names)
        if lost := [name for name in wanted if name not in known]:
            raise HermesError(
                f"anole: the tokenizer of {where} does not know {lost[0]}; give Chameleon's or Anole's own files"
            )
        self.codes = torch.tensor([known[name] for name in names])
        self.bos, self.pad, self.begin, self.end, self.turn = (known[name] for name in (BOS, PAD, BEGIN, END, TURN))
        self.ends: tuple[int, ...] = (known[EOS],)
        special = {number for name, number in known.items() if name.startswith("<") and name != "<"}
        self._unwritten = sorted({*self.codes.tolist(), *(special if as_released else ())} - {*self.ends})

    def framed(self, picture: Image.Image, side: int) -> Image.Image:
        """The picture as it is: the codec scales it and cuts out its middle."""
        return picture

    def row(self, parts: Sequence[str | Sequence[int]], turn: bool = True) -> list[int]:
        """Words and pictures, by the numbers of their codes, in this order; ``turn``: with the end of the turn."""
        ids = [self.bos]
        for part in parts:
            ids += self._ids(part) if isinstance(part, str) else self._picture(part)
        return [*ids, self.turn] if turn else ids

    def question(self, prompt: str, images: Sequence[Sequence[int]]) -> list[int]:
        """The pictures, then the words, and the end of the turn."""
        return self.row([*images, prompt])

    def answer(self, text: str) -> list[int]:
        """The answer and the end of the text."""
        return [*self._ids(text.strip()), *self.ends]

    def drawing(self, prompt: str, images: Sequence[Sequence[int]], guidance: float) -> tuple[Share, ...]:
        """The rows of ``shares`` behind pictures and words."""
        return self.shares(self.question(prompt, images), guidance)

    def shares(self, row: Sequence[int], guidance: float, image_guidance: float = IMAGE_GUIDANCE) -> tuple[Share, ...]:
        """The row that a picture follows, and those that guide it: u + image_guidance (i - u) + guidance (f - i).

        The released code has three rows for each picture: the full one f, one of its pictures alone i, and the empty
        one u. Without a picture in the prompt i is u, and two rows give the same logits.
        """
        full = (*row,) if row and row[-1] == self.begin else (*row, self.begin)
        if guidance <= 1:
            return (Share(1.0, full),)
        empty = (self.bos, self.begin)
        kept = {*self.codes.tolist(), self.bos, self.begin, self.end}
        seen = tuple(token for token in full if token in kept)
        if seen == empty:
            return Share(guidance, full), Share(1 - guidance, empty)
        return (
            Share(guidance, full),
            Share(image_guidance - guidance, seen),
            Share(1 - image_guidance, empty),
        )

    def unrestricted(self, draw: Draw) -> bool:
        """Pictures are drawn from the codes alone, in the authors' code too."""
        return False

    def text(self, ids: Sequence[int]) -> str:
        """The words of an answer, without special tokens."""
        written = list(takewhile(lambda token: token not in self.ends, ids))
        return str(self.words.decode(written, skip_special_tokens=True))

    def rules(self) -> list[Any]:
        """No image tokens; as released no token that begins with "<" and the penalty on those that are in the row."""
        rules: list[Any] = [SuppressTokensLogitsProcessor(self._unwritten)]
        if self.as_released and self.penalty != 1:
            rules.append(RepetitionPenaltyLogitsProcessor(self.penalty))
        return rules

    def _picture(self, numbers: Sequence[int]) -> list[int]:
        return [self.begin, *self.codes[list(numbers)].tolist(), self.end]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return ids
