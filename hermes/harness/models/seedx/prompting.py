"""Prompts as SEED-X reads them: words with pictures among them, to ids and to the places of the pictures' tokens.

Source: AILab-CVC/SEED-X commit 420d347, src/inference/eval_{img2text,text2img}_seed_x{,_i}.py and eval_img2edit_*.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hermes.harness.models.seedx.tokenizer import Tokenizer

Style = Literal["instruct", "base", "edit"]
DRAW = "Generate an image: "


@dataclass(frozen=True)
class Row:
    """Token ids, and which of them stand for the features of pictures, in the order of the pictures' entries."""

    ids: tuple[int, ...]
    seen: tuple[bool, ...]

    def and_then(self, ids: Sequence[int]) -> "Row":
        """The row with further ids, none of which stands for a picture."""
        return Row((*self.ids, *ids), (*self.seen, *(False for _ in ids)))


def question(style: Style, text: str, pictures: Sequence[int]) -> list[str | int]:
    """A question behind pictures of so many entries each, as the model of this style is asked."""
    if style == "base":
        return ["Question: ", *pictures, f"{text}\nAnswer:"]
    return ["[INST] ", *pictures, f"{text} [/INST]\n"]


def request(style: Style, text: str, pictures: Sequence[int]) -> list[str | int]:
    """What asks for a picture of a text, or for a change of the pictures that stand before it."""
    if style == "base":
        return [*pictures, text]
    return ["[INST] ", *pictures, f"{text} [/INST]\n"] if pictures else [f"[INST] {DRAW}{text} [/INST]\n"]


def row(words: Tokenizer, parts: Sequence[str | int], behind: int | None = None) -> Row:
    """The row of a prompt: texts, and pictures by their number of entries, from the token that begins it.

    ``behind`` is an added token that ends the row. White space beside a picture, and before that token, is dropped as
    beside any added token. A tag that a text brings along is a token, and never a picture's.
    """
    ids, seen = [words.begin], [False]
    joined = _joined(parts)
    for place, part in enumerate(joined):
        if isinstance(part, int):
            for entry in range(part):
                whole = entry == part - 1
                begin, end = (words.image, words.image_end) if whole else (words.patch, words.patch_end)
                ids += [begin, *words.queries, end]
                seen += [False, *(True for _ in words.queries), False]
            continue
        text = part.lstrip() if place and words.strips(words.image_end) else part
        follows = joined[place + 1] if place + 1 < len(joined) else None
        after = behind if follows is None else words.image if follows == 1 else words.patch
        found = words.encode(text.rstrip() if after is not None and words.strips(after) else text)
        ids += found
        seen += [False] * len(found)
    made = Row(tuple(ids), tuple(seen))
    return made if behind is None else made.and_then([behind])


def _joined(parts: Sequence[str | int]) -> list[str | int]:
    """The parts with neighbouring texts as one."""
    joined: list[str | int] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        else:
            joined.append(part)
    return joined
