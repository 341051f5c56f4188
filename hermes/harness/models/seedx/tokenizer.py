"""SEED-X's tokenizer: LLaMA-2's pieces and the tokens that were added, with the ids that the model was trained on.

Source: what transformers 4.30.2's slow LlamaTokenizer does, which SEED-X (AILab-CVC/SEED-X, commit 420d347) pins.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hermes.harness.models.pieces import Pieces
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

TAG = re.compile(r"<[^>]*>")
MAP = "special_tokens_map.json"


class Tokenizer:
    """Texts to ids and back; ``queries`` are how many tokens stand for a picture, of which there are more.

    Raises HermesError where the tokenizer lacks one of the tokens that pictures are written with.
    """

    def __init__(self, pieces: Pieces, queries: int, who: str) -> None:
        self.pieces = pieces
        names = {"image": "<img>", "image_end": "</img>", "patch": "<patch>", "patch_end": "</patch>"}
        wanted = [*names.values(), *(f"<img_{place:05d}>" for place in range(queries))]
        if lost := [name for name in wanted if name not in pieces.added]:
            raise HermesError(
                f"{who}: the tokenizer in {pieces.folder} lacks {len(lost)} tokens, such as {lost[0]}; "
                "give SEED-X's tokenizer"
            )
        self.image, self.image_end, self.patch, self.patch_end = (pieces.added[name] for name in names.values())
        self.queries = tuple(pieces.added[name] for name in wanted[len(names) :])
        self.begin, self.end = int(pieces.words.bos_id()), int(pieces.words.eos_id())
        self.pad = int(pieces.words.unk_id())
        self._names = {number: name for name, number in pieces.added.items()}
        self._control = {number: name for name, number in pieces.control.items()}
        self._bare = set(pieces.added.values()) - _spaced(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without a token that begins it.

        Each stretch between written-out tokens is encoded alone, so that each begins with a space of its own; white
        space around an added token is dropped, around ``<s>`` and ``</s>`` it stays.
        """
        parts = list(self.pieces.cut(text))
        ids: list[int] = []
        for place, part in enumerate(parts):
            if isinstance(part, int):
                ids.append(part)
                continue
            if place and parts[place - 1] in self._bare:
                part = part.lstrip()
            if place + 1 < len(parts) and parts[place + 1] in self._bare:
                part = part.rstrip()
            ids += self.pieces.words.encode(part) if part else []
        return ids

    def strips(self, token: int) -> bool:
        """Whether white space beside an added token is dropped."""
        return token in self._bare

    def decode(self, ids: Sequence[int]) -> str:
        """The text, with all tokens written out: stretches of ordinary tokens and added ones, one space between."""
        stretches = []
        for added, run in groupby(ids, key=lambda one: one in self._names):
            part = list(run)
            stretches += [self._names[one] for one in part] if added else [self._stretch(part)]
        return " ".join(stretches)

    def spoken(self, ids: Iterable[int]) -> str:
        """The text that is shown: without added and control tokens, and without outer white space."""
        return self.decode([one for one in ids if one not in self._names and one not in self._control]).strip()

    def _stretch(self, ids: Iterable[int]) -> str:
        """Ordinary tokens with control tokens among them, as the released tokenizer joins them.

        Its space for a control token comes before the words in front of it, not before the token.
        """
        text, words = "", list[int]()
        for one in ids:
            if one not in self._control:
                words.append(one)
                continue
            text += (f" {self.pieces.words.decode(words)}" if words else "") + self._control[one]
            words = []
        return text + (str(self.pieces.words.decode(words)) if words else "")


def without_tags(text: str) -> str:
    """What the authors' scripts show of a decoded text: everything in angle brackets is gone, words as well."""
    return TAG.sub("", text).strip()


def _spaced(pieces: Pieces) -> set[int]:
    """The added tokens that keep the white space beside them, as the folder's map of special tokens may say."""
    path = pieces.folder / MAP
    try:
        told: Any = json_file(path) if path.is_file() else {}
    except ValueError as error:
        raise HermesError(f"{path} is not valid JSON ({error}); download it again") from None
    entries = told.get("additional_special_tokens") if isinstance(told, dict) else None
    listed = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    kept = [str(one.get("content")) for one in listed if not one.get("lstrip", False)]
    return {pieces.added[name] for name in kept if name in pieces.added}


def read_tokenizer(folder: Path, queries: int, who: str) -> Tokenizer:
    """The tokenizer of a folder with tokenizer.model and added_tokens.json."""
    return Tokenizer(Pieces(folder, who), queries, who)
