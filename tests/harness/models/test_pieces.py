"""Tokenizers of a sentencepiece model alone: their own ids, tokens cut out of texts, one line for what is torn."""

import json
from pathlib import Path

import pytest
import sentencepiece

from hermes.harness.models.pieces import ADDED, MODEL, Pieces
from hermes.harness.system.errors import HermesError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    words = folder / "words.txt"
    words.write_text("a red cat on a mat\na big cat and a red hat\nthe cat sat\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(words), model_prefix=str(folder / "tokenizer"), vocab_size=40, model_type="bpe", minloglevel=2
    )
    return folder


def numbered(folder: Path, *names: str, first: int = 40) -> Pieces:
    (folder / ADDED).write_text(json.dumps({name: first + place for place, name in enumerate(names)}))
    return Pieces(folder, "model x")


def test_tokens_that_are_written_out_are_cut_and_the_longest_wins(folder: Path) -> None:
    pieces = numbered(folder, "<img>", "<img>s")
    assert len(pieces) == 42
    assert list(pieces.cut("a <img>cat</s>\n<img>s<imgs>")) == ["a ", 40, "cat", 2, "\n", 41, "<imgs>"]
    assert list(pieces.cut("")) == []


def test_a_saved_tokenizer_is_the_same(folder: Path, tmp_path: Path) -> None:
    numbered(folder, "<img>").save(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (MODEL, ADDED)] == [
        (folder / name).read_bytes() for name in (MODEL, ADDED)
    ]


@pytest.mark.parametrize("fault", ["torn model", "no model", "a hole", "no names", "not JSON"])
def test_a_tokenizer_that_is_not_whole_is_one_line(folder: Path, tmp_path: Path, fault: str) -> None:
    numbered(folder, "<img>").save(tmp_path)
    match fault:
        case "torn model":
            (tmp_path / MODEL).write_bytes((folder / MODEL).read_bytes()[:100])
        case "no model":
            (tmp_path / MODEL).unlink()
        case "a hole":
            (tmp_path / ADDED).write_text(json.dumps({"<img>": 41}))
        case "no names":
            (tmp_path / ADDED).write_text("[]")
        case "not JSON":
            (tmp_path / ADDED).write_text("{")
    with pytest.raises(HermesError, match=r"^model x: .*; download (it|both) again$"):
        Pieces(tmp_path, "model x")
