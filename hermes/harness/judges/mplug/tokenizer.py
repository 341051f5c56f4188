"""Questions to token ids and answers back to text, as BERT's uncased word pieces are cut and joined."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from hermes.harness.judges.mplug.config import QUESTION_TOKENS
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error

PAD, UNKNOWN, CLASS, SEPARATOR, _ = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100
CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
CLEAN_UP = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def clean(text: str) -> str:
    """The text without control characters, each whitespace one space, Chinese characters spaced."""
    return "".join(map(_clean, text))


def _clean(char: str) -> str:
    category = unicodedata.category(char)
    if char in "\t\n\r" or category == "Zs":
        return " "
    if char == "\ufffd" or category.startswith("C"):
        return ""
    return f" {char} " if any(low <= ord(char) <= high for low, high in CHINESE) else char


def words(text: str) -> list[str]:
    """Lower-cased words without accents; each punctuation mark is a word."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFC", clean(text)).lower())
    kept = (char for char in plain if unicodedata.category(char) != "Mn")
    return "".join(f" {char} " if _is_punctuation(char) else char for char in kept).split()


def _is_punctuation(char: str) -> bool:
    """Also what ASCII prints and Unicode calls a symbol, such as ``$`` and ``+``."""
    printed = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return printed or unicodedata.category(char).startswith("P")


class QuestionTokenizer:
    """The word pieces of one vocab.txt. ``tokens`` are its lines; a piece inside a word begins with ``##``.

    Equals transformers 4's BertTokenizer (uncased), which the published judge used, in both directions.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self._special = {self.ids[token] for token in SPECIAL}

    @classmethod
    def read(cls, path: Path) -> "QuestionTokenizer":
        """From a file with one token a line. Raises HermesError where it cannot be read or lacks a special token."""
        try:
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except OSError as error:
            raise file_error(path, error, "give a complete mPLUG folder") from None
        except UnicodeDecodeError:
            raise HermesError(f"{path} is not UTF-8 text; download the file again") from None
        if missing := [token for token in SPECIAL if token not in lines]:
            raise HermesError(f"{path} lacks the token {missing[0]}; download the file again")
        return cls(lines)

    def encode(self, question: str) -> list[int]:
        """``[CLS] pieces [SEP]``, at most 25 ids: of a longer question the first 23 pieces are kept."""
        pieces = [piece for word in words(question.lower()) for piece in self._pieces(word)]
        return [self.ids[piece] for piece in (CLASS, *pieces[: QUESTION_TOKENS - 2], SEPARATOR)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids: special tokens left out wherever they are, pieces glued to the word before them.

        A space is dropped before ``. ? ! ,`` and ``n't 'm 's 've 're`` and on both sides of a lone apostrophe:
        transformers 4's clean-up, of which transformers 5 does less. Ids beyond the vocabulary read ``[UNK]``.
        """
        known = [number for number in ids if number not in self._special]
        text = " ".join(self.tokens[number] if number < len(self.tokens) else UNKNOWN for number in known)
        text = text.replace(" ##", "")
        for spaced in CLEAN_UP:
            text = text.replace(spaced, spaced.strip())
        return text

    def _pieces(self, word: str) -> list[str]:
        """Longest piece first; one unknown token where the word is too long or a rest has no piece."""
        if len(word) > LONGEST_WORD:
            return [UNKNOWN]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            known = (end for end in range(len(word), start, -1) if mark + word[start:end] in self.ids)
            end = next(known, None)
            if end is None:
                return [UNKNOWN]
            pieces.append(mark + word[start:end])
            start = end
        return pieces
