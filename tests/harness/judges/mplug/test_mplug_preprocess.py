"""What mPLUG sees of images and questions, and what it makes of its tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mplug_made import VOCABULARY, picture
from PIL import Image
from tokenizers import BertWordPieceTokenizer

from hermes.harness.judges.mplug.preprocess import pixels, tokens
from hermes.harness.judges.mplug.tokenizer import QuestionTokenizer
from hermes.harness.system.errors import HermesError

CLASS, SEPARATOR = 101, 102
LETTERS = "abé1"
PIECES = [*LETTERS, "e", "ab", "##a", "##b", "##ab", "##e", "##1", "红", "?", "-", "$", "'", "ä", "ss"]
# Assigned long ago, so that no two versions of Unicode can differ about them.
ALPHABET = st.sampled_from("abAB1éÉÄß红球?!-$'[] \t\n\u00a0\u2003\u200b\u00ad\x07\x00\ufffd\u0301İΣ，—“”")


def pieces(tokenizer: QuestionTokenizer, question: str) -> list[str]:
    ids = tokenizer.encode(question)
    assert (ids[0], ids[-1]) == (CLASS, SEPARATOR)
    return [tokenizer.tokens[number] for number in ids[1:-1]]


@pytest.fixture(scope="module")
def tokenizer() -> QuestionTokenizer:
    return QuestionTokenizer(VOCABULARY)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Is there a RED ball?", "is there a red ball ?"),
        ("balls", "ball ##s"),
        ("the  café\tis\nred", "the cafe is red"),
        ("dog-table", "dog - table"),
        ("it's", "it ' s"),
        ("red\u200bball", "[UNK]"),
        ("red\u0007ball red\u00a0ball", "[UNK] red ball"),
        ("红red球", "[UNK] red [UNK]"),
        ("zebra", "[UNK]"),
        ("ballszebra", "[UNK]"),
        ("[SEP]", "[ sep ]"),
        ("", ""),
        ("s" * 100, "s" + " ##s" * 22),
        ("s" * 101, "[UNK]"),
    ],
)
def test_questions_are_cut_into_word_pieces(tokenizer: QuestionTokenizer, question: str, wanted: str) -> None:
    assert pieces(tokenizer, question) == wanted.split()


def test_questions_of_more_than_23_pieces_are_cut(tokenizer: QuestionTokenizer) -> None:
    assert pieces(tokenizer, "red ball " * 40) == (["red", "ball"] * 12)[:23]


@given(st.text(ALPHABET, max_size=40))
def test_word_pieces_equal_those_of_the_tokenizers_package(question: str) -> None:
    vocabulary = [*VOCABULARY, *PIECES]
    other = BertWordPieceTokenizer({token: number for number, token in enumerate(vocabulary)}, lowercase=True)
    other.enable_truncation(25)
    assert QuestionTokenizer(vocabulary).encode(question) == other.encode(question.lower()).ids


def test_questions_are_padded_to_25_and_masked(tokenizer: QuestionTokenizer) -> None:
    ids, mask = tokens(["red ball", "ball " * 30], tokenizer)
    assert ids.shape == mask.shape == (2, 25)
    assert ids[0].tolist() == [CLASS, VOCABULARY.index("red"), VOCABULARY.index("ball"), SEPARATOR] + [0] * 21
    assert mask.sum(1).tolist() == [4, 25]
    assert ids[1, 24] == SEPARATOR


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("[CLS] yes [SEP]", "yes"),
        ("[CLS] yes [SEP] yes [SEP]", "yes yes"),
        ("[CLS] red [UNK] [PAD] ball ##s [MASK] [SEP]", "red balls"),
        ("[CLS] ##s yes [SEP]", "##s yes"),
        ("[CLS] it ' s red . is it ? no , no ! [SEP]", "it's red. is it? no, no!"),
        ("[CLS] ball - table [SEP]", "ball - table"),
        ("[CLS] can n't [SEP]", "cann't"),
        ("[CLS] [SEP]", ""),
    ],
)
def test_answers_are_joined_and_cleaned_up(tokenizer: QuestionTokenizer, answer: str, wanted: str) -> None:
    assert tokenizer.decode(tokenizer.ids[token] for token in answer.split()) == wanted


@pytest.mark.parametrize("ending", ["n't", "'m", "'s", "'ve", "'re", ".", "?", "!", ","])
def test_endings_lose_their_space(ending: str) -> None:
    tokenizer = QuestionTokenizer([*VOCABULARY, "'m", "'s", "'ve", "'re"])
    assert tokenizer.decode(tokenizer.ids[token] for token in ("it", ending, "red")) == f"it{ending} red"


def test_an_id_beyond_the_vocabulary_is_seen_in_the_answer(tokenizer: QuestionTokenizer) -> None:
    assert tokenizer.decode([tokenizer.ids["yes"], len(VOCABULARY)]) == "yes [UNK]"


def test_the_vocabulary_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY))
    assert list(QuestionTokenizer.read(tmp_path / "vocab.txt").tokens) == VOCABULARY


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(b"yes\nno\n", r"lacks the token \[PAD\]"), (b"\xff\xfe\x00", "not UTF-8"), (None, "cannot be read")],
)
def test_a_bad_vocabulary_is_one_clear_line(tmp_path: Path, content: bytes | None, wrong: str) -> None:
    if content is not None:
        (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(HermesError, match=f"^[^\n]*vocab.txt[^\n]*{wrong}[^\n]*$"):
        QuestionTokenizer.read(tmp_path / "vocab.txt")


def test_images_are_squeezed_to_a_square_and_normalised() -> None:
    image = picture(0, (60, 48))
    seen = pixels([image], 42)[0]
    resized = np.asarray(image.resize((42, 42), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    wanted = (resized - (0.48145466, 0.4578275, 0.40821073)) / (0.26862954, 0.26130258, 0.27577711)
    assert seen.shape == (3, 42, 42)
    np.testing.assert_allclose(seen.permute(1, 2, 0), wanted, atol=1e-5)


def test_alpha_is_dropped_and_grey_and_palette_are_expanded() -> None:
    image = picture(1)
    clear = image.copy()
    clear.putalpha(0)
    grey, palette = image.convert("L"), image.convert("P")
    seen = pixels([image, clear, grey, grey.convert("RGB"), palette, palette.convert("RGB")], 28)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert torch.equal(seen[4], seen[5])
    assert not torch.equal(seen[0], seen[2])
