"""Rows of tokens as Liquid reads and writes them.

Source: FoundationVision/Liquid 4609c47, evaluation/ (chat form and benchmark loaders) and inference_t2i.py.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.rows import Share
from hermes.harness.system.errors import HermesError

BEGIN, END, NOTHING = "<boi>", "<eoi>", "<unconditional>"
ASK, TURN, SAY = "<start_of_turn>user\n", "<end_of_turn>\n", "<start_of_turn>model\n"
DRAW = " Generate an image based on this description."
FRAME = (122, 116, 104)


class LiquidPrompting:
    """``words`` is the tokenizer, whose ids end where those of the ``count`` codes begin.

    ``as_released``: the marks around a seen picture are doubled, as the authors' benchmark loader doubles them, and
    with neither top-k nor top-p pictures are drawn from the whole vocabulary. Raises HermesError where a token is
    missing.
    """

    def __init__(self, words: Any, count: int, where: str, as_released: bool = False) -> None:
        self.words, self.as_released = words, as_released
        self.codes = torch.arange(len(words), len(words) + count)
        known = words.get_vocab()
        wanted = (BEGIN, END, NOTHING, words.bos_token, words.eos_token, words.pad_token)
        if lost := [token for token in wanted if token not in known]:
            raise HermesError(
                f"liquid: the tokenizer of {where} does not know {lost[0] or 'its own bos, eos or pad'}; "
                "give Liquid's own tokenizer files"
            )
        self.pad, self.bos = known[words.pad_token], known[words.bos_token]
        self.ends: tuple[int, ...] = (known[words.eos_token],)

    def framed(self, picture: Image.Image, side: int) -> Image.Image:
        """Without alpha, in the middle of a square, ``side`` pixels wide."""
        flat, longer = picture.convert("RGB"), max(picture.size)
        square = Image.new("RGB", (longer, longer), FRAME)
        square.paste(flat, ((longer - flat.width) // 2, (longer - flat.height) // 2))
        return square.resize((side, side), Image.Resampling.LANCZOS)

    def question(self, prompt: str, images: Sequence[Sequence[int]]) -> list[int]:
        """The user's turn in Gemma's chat form, pictures first, each on a line of its own; then the model's turn."""
        twice = 2 if self.as_released else 1
        row, before = [self.bos], ASK
        for codes in images:
            row += [*self._ids(before + BEGIN * twice), *self.codes[list(codes)].tolist()]
            before = END * twice + "\n"
        return row + self._ids(f"{before}{prompt}{TURN}{SAY}")

    def answer(self, text: str) -> list[int]:
        """The answer, the end of its turn and of the text."""
        return [*self._ids(text.strip() + TURN), *self.ends]

    def drawing(self, prompt: str, images: Sequence[Sequence[int]], guidance: float) -> tuple[Share, ...]:
        """Prompt and instruction, and the unconditional row where there is guidance: u + guidance (c - u)."""
        if images:
            raise HermesError("liquid draws from words alone; leave the images of the prompt out")
        told = (self.bos, *self._ids(prompt + DRAW + BEGIN))
        if guidance <= 1:
            return (Share(1.0, told),)
        return Share(guidance, told), Share(1 - guidance, (self.bos, *self._ids(NOTHING + BEGIN)))

    def unrestricted(self, draw: Draw) -> bool:
        """The authors' sampler leaves out the restriction to codes with the filters, of which it is part."""
        return self.as_released and draw.top_k == 0 and draw.top_p >= 1

    def text(self, ids: Sequence[int]) -> str:
        """The words of an answer, without special tokens and image codes."""
        said = self.words.decode([token for token in ids if token < len(self.words)], skip_special_tokens=True)
        return str(said)

    def rules(self) -> list[Any]:
        """Nothing is forbidden."""
        return []

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return ids
