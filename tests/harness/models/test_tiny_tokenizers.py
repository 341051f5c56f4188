"""The tokenisers of hermes-tiny: text round trips over the grammar, codes round trips, unknown words."""

import itertools
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes.harness.contracts.prompts import ONE_SENTENCE, OPTION_LETTER, SHORT_ANSWER
from hermes.harness.models.tiny.adapter import WEIGHTS
from hermes.harness.models.tiny.packing import SPECIALS, UNK
from hermes.harness.models.tiny.tokenizer_image import CODES, FSQ, IMAGE_TOKENS, ImageTokenizer
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.system.errors import HermesError
from hermes.shapes import captions
from hermes.shapes.lessons import lesson, training_scenes
from hermes.shapes.questions import homologous

SHIPPED = TextTokenizer.load(WEIGHTS / "vocabulary.json")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**40))
def test_every_sentence_of_the_grammar_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    (scene,) = itertools.islice(training_scenes("validation", seed), 1)
    taught = lesson(scene, rng)
    texts = [taught.prompt_for_image, *itertools.chain(*taught.dialogues), *captions.references(scene, rng)]
    texts += [captions.dense(scene, rng), *(qa.question + SHORT_ANSWER for qa in homologous(scene, rng))]
    for text in texts:
        ids = SHIPPED.encode(text)
        assert UNK not in ids, text
        assert SHIPPED.decode(ids) == text


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_tokenised_and_never_gives_a_special_token(text: str) -> None:
    ids = SHIPPED.encode(text)
    assert all(index == UNK or index >= len(SPECIALS) for index in ids)
    assert SHIPPED.encode(SHIPPED.decode(ids).replace("<unk>", "zzz")) == ids


def test_phrases_are_one_token() -> None:
    for phrase in (SHORT_ANSWER, OPTION_LETTER, ONE_SENTENCE, "in the top left", "top left", "'carré'"):
        assert len(SHIPPED.encode(phrase)) == 1


def test_phrases_end_at_word_boundaries() -> None:
    assert SHIPPED.decode(SHIPPED.encode("left off")) == "left <unk>"


def test_unknown_words_and_capitals() -> None:
    assert SHIPPED.encode("A Red zeppelin") == [*SHIPPED.encode("A"), *SHIPPED.encode("red"), UNK]


def test_a_broken_vocabulary_is_one_line(tmp_path: Path) -> None:
    for content in ("[", '["a"]', "{}"):
        (tmp_path / "vocabulary.json").write_text(content)
        with pytest.raises(HermesError):
            TextTokenizer.load(tmp_path / "vocabulary.json")


def test_codes_and_points_are_inverse() -> None:
    quantise = FSQ()
    codes = torch.arange(CODES)
    points = quantise.point(codes)
    assert torch.equal(quantise.index(torch.atanh(points * 0.98)), codes)
    assert len(set(map(tuple, points.tolist()))) == CODES
    torch.testing.assert_close(quantise(torch.atanh(points * 0.98)), points)


def test_encoding_gives_the_codes_of_the_quantised_points() -> None:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer().eval()
    images = torch.rand(2, 3, 48, 48)
    codes = tokenizer.encode(images)
    assert codes.shape == (2, IMAGE_TOKENS)
    assert int(codes.min()) >= 0
    assert int(codes.max()) < CODES
    with torch.no_grad():
        torch.testing.assert_close(tokenizer.decode(codes), tokenizer(images).clamp(0, 1))
