"""Phi-1.5's text tokenizer, read from its tokenizer.json."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END = "<|endoftext|>"
# What transformers calls clean_up_tokenization_spaces, on for Phi-1.5.
JOINED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class TextTokenizer:
    """Text to ids and back; ``end`` is the id that ends a text."""

    def __init__(self, tokenizer: "Tokenizer", joins: bool = True) -> None:
        self.tokenizer = tokenizer
        self.joins = joins
        end = tokenizer.token_to_id(END)
        if end is None:
            raise HermesError(f"the tokenizer has no token {END}; give that of microsoft/phi-1_5")
        self.end: int = end

    @classmethod
    def load(cls, folder: Path) -> "TextTokenizer":
        """From the folder's tokenizer.json and, where it is there, tokenizer_config.json."""
        from tokenizers import Tokenizer

        path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
            joins = not settings.exists() or json_file(settings).get("clean_up_tokenization_spaces", True)
        except Exception as error:  # tokenizers raises nothing narrower
            raise HermesError(f"{path}: not a tokenizer ({error}); give the folder of microsoft/phi-1_5") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, bool(joins))

    def save(self, folder: Path) -> None:
        """Write what ``load`` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        settings = {"clean_up_tokenization_spaces": self.joins, "eos_token": END, "bos_token": END, "unk_token": END}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text without special tokens; ids that are not text tokens are left out."""
        text: str = self.tokenizer.decode([token for token in ids if token < len(self)], skip_special_tokens=True)
        if self.joins:
            for joined in JOINED:
                text = text.replace(joined, joined.strip())
        return text
