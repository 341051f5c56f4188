"""Tokenizers that are published as a sentencepiece model alone, read with sentencepiece itself.

transformers 5 reads such a file through protobuf and tiktoken, and fails with releases of protobuf that other packages
need; where it reads it, some ids are not those that the models were trained on. A family writes down its own rules for
stretches of plain text; what is alike stands here.
"""

import re
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

MODEL, ADDED = "tokenizer.model", "added_tokens.json"
FILES = (MODEL, ADDED, "special_tokens_map.json", "tokenizer_config.json")


class Pieces:
    """The pieces of a folder's ``tokenizer.model`` and the tokens that ``added_tokens.json`` puts behind them.

    ``words`` is the sentencepiece processor. Raises HermesError for what is missing or torn.
    """

    def __init__(self, folder: Path, who: str) -> None:
        import sentencepiece

        self.folder = folder
        try:
            self.words: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL))
            added = json_file(folder / ADDED) if (folder / ADDED).is_file() else {}
        except (OSError, RuntimeError, ValueError) as error:
            raise HermesError(f"{who}: the tokenizer in {folder} cannot be read ({error}); download it again") from None
        first = self.words.get_piece_size()
        numbers: list[Any] = list(added.values()) if isinstance(added, dict) else [None]
        if any(type(one) is not int for one in numbers) or sorted(numbers) != list(range(first, first + len(numbers))):
            raise HermesError(
                f"{who}: {folder / ADDED} does not number its tokens from {first:,} on, behind those of {MODEL}; "
                "download both again"
            )
        self.added: dict[str, int] = added

    def __len__(self) -> int:
        return int(self.words.get_piece_size()) + len(self.added)

    @cached_property
    def control(self) -> dict[str, int]:
        """Tokens of the model itself that stand for no text, such as ``<s>``, by name."""
        every = range(self.words.get_piece_size())
        return {
            self.words.id_to_piece(one): one
            for one in every
            if self.words.is_control(one) or self.words.is_unknown(one)
        }

    def cut(self, text: str) -> Iterator[str | int]:
        """Stretches of plain text and, between them, ids of the tokens that are written out; the longest first."""
        marks = {**self.control, **self.added}
        longest = sorted(marks, key=len, reverse=True)
        for part in re.split("(" + "|".join(map(re.escape, longest)) + ")", text):
            if part:
                yield marks.get(part, part)

    def save(self, folder: Path) -> None:
        """Copy the files that were read, so that ``folder`` has the same tokenizer."""
        for name in FILES:
            if (self.folder / name).is_file() and self.folder.resolve() != folder.resolve():
                shutil.copyfile(self.folder / name, folder / name)
