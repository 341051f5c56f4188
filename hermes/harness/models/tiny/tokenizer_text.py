"""The text tokeniser: words and fixed phrases of the shapes world, the longest match first."""

import itertools
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hermes.harness.contracts.prompts import ONE_SENTENCE, OPTION_LETTER, SHORT_ANSWER
from hermes.harness.models.tiny.packing import SPECIALS, UNK
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file
from hermes.shapes import captions
from hermes.shapes.lessons import lesson, training_scenes
from hermes.shapes.scene import SHAPES
from hermes.shapes.words import FRENCH, PLACE_PHRASES, PLACES

PHRASES = (
    SHORT_ANSWER,
    OPTION_LETTER,
    ONE_SENTENCE,
    *(f"\n{letter}." for letter in "ABCD"),
    *PLACES,
    *PLACE_PHRASES.values(),
    *(f"'{word}'" for word in FRENCH.values()),
    *(f"count('{shape}')" for shape in SHAPES),
    *("a photo of", "an image of", "a picture of", "there is", "there are", "the image shows", "on a gray background"),
    *("in the image?", "left of", "right of", "next to", "left or right of", "above or below"),
    *("Is there", "Is there a", "Is there an", "Is there exactly", "Are there exactly", "Are there more", "How many"),
    *("What color is the", "What shape is the", "What size is the", "What is", "Where is the", "Is it empty"),
    *("Is the number of", "plus the number of", "equal to", "Is the value of", "larger than the"),
    *("the same color?", "the same shape?", "the same size?"),
)
_SPLIT = re.compile(r"\w+|\n|[^\w\s]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_NO_SPACE_BEFORE = (".", ",", "?", "!", ")", "\n", ":", ";")
_NO_SPACE_AFTER = ("\n", "(")


class TextTokenizer:
    """Text to ids and back. The first ids are the special tokens of packing.SPECIALS."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = tuple(pieces)
        self.ids = {piece: index for index, piece in enumerate(self.pieces)}
        phrases = sorted((p for p in self.pieces[len(SPECIALS) :] if not _SPLIT.fullmatch(p)), key=len, reverse=True)
        found = "|".join(rf"(?<!\w){re.escape(p)}(?!\w)" if p[0].isalpha() else re.escape(p) for p in phrases)
        self._pattern = re.compile(f"{found}|{_SPLIT.pattern}" if found else _SPLIT.pattern)

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Ids of the text; a word that is unknown as written and in lower case becomes <unk>, blank lines vanish."""
        found = self._pattern.findall(_BLANK_LINES.sub("\n", text))
        return [self.ids.get(piece, self.ids.get(piece.lower(), UNK)) for piece in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text, with a space between pieces except around punctuation and line breaks."""
        text = ""
        for piece in (self.pieces[index] for index in ids):
            glue = not text or piece.startswith(_NO_SPACE_BEFORE) or text.endswith(_NO_SPACE_AFTER)
            text += piece if glue else " " + piece
        return text

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.pieces, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "TextTokenizer":
        """Raises HermesError where the file is missing or no list of pieces."""
        try:
            pieces = json_file(path)
        except (OSError, ValueError) as error:
            raise HermesError(f"{path}: the vocabulary cannot be read ({error}); save the model again") from None
        if not isinstance(pieces, list) or tuple(pieces[: len(SPECIALS)]) != SPECIALS:
            raise HermesError(f"{path}: not a vocabulary of hermes-tiny or hermes-flow; save the model again")
        return cls(pieces)


def build_vocabulary(count: int = 20_000) -> TextTokenizer:
    """The special tokens, PHRASES, and every other word of ``count`` lessons, sorted."""
    phrases = TextTokenizer([*SPECIALS, *dict.fromkeys(PHRASES)])
    rng = random.Random(derive_seed("vocabulary"))
    words: set[str] = set()
    for scene in itertools.islice(training_scenes("train", 0), count):
        taught = lesson(scene, rng)
        texts = [taught.prompt_for_image, captions.dense(scene, rng), *itertools.chain(*taught.dialogues)]
        words.update(*(phrases._pattern.findall(text) for text in texts))
    return TextTokenizer([*phrases.pieces, *sorted(words - set(phrases.pieces))])
