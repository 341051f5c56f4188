"""The caption metrics equal pycocoevalcap with its Java tokenizer; skipped where either is not installed."""

import random
import shutil
from collections.abc import Sequence

import pytest
from odd_captions import captions

from hermes.evaluators.caption_metrics import caption_scores
from hermes.evaluators.ptb_tokenizer import tokenize_lines

pytest.importorskip("pycocoevalcap")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed"),
]
WORDS = ("a", "the", "man", "woman", "dog", "red", "ball", "plays with", "holds", "on", "near", "street", "two", "in")


def stanford(sets: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    """The reference tokenizer's output for sets of sentences, in one call."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokens: dict[int, list[str]] = PTBTokenizer().tokenize(
        {number: [{"caption": sentence} for sentence in one] for number, one in enumerate(sets)}
    )
    return tokens


def test_the_tokenizer_equals_the_java_one_on_thousands_of_odd_captions() -> None:
    sentences = list(captions(seed=0, count=12_000))
    # The letter stops at the end of a line are where the lexer looks across the line break.
    sentences += ["vitamin C.", "The plan B. ", "a No.", "7 dogs", "pp.", "3 cats", "fig.", "a cat", "X.", "A\tman"]
    found = stanford([sentences])[0]
    different = [
        (sentence, theirs, ours)
        for sentence, theirs, ours in zip(sentences, found, tokenize_lines(sentences), strict=True)
        if theirs != ours
    ]
    assert different == []


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 14))) + rng.choice([".", "", " ."])


def test_cider_bleu_and_rouge_equal_the_reference_on_500_images() -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    rng = random.Random(0)
    odd = list(captions(seed=1, count=600))
    known = [[sentence(rng) or "x" for _ in range(rng.randint(1, 6))] + [rng.choice(odd)] for _ in range(500)]
    said = [rng.choice([rng.choice(one), sentence(rng), rng.choice(odd), ""]) for one in known]
    references, candidates = stanford(known), stanford([[one] for one in said])
    ours = caption_scores(said, known)
    bleu, each_bleu = Bleu(4).compute_score(references, candidates, verbose=0)
    cider, each_cider = Cider().compute_score(references, candidates)
    rouge, each_rouge = Rouge().compute_score(references, candidates)
    assert ours.bleu().tolist() == pytest.approx(bleu, rel=1e-12)
    assert ours.bleu_each().T.tolist() == [pytest.approx(values, rel=1e-9, abs=1e-12) for values in each_bleu]
    assert ours.cider.mean() == pytest.approx(cider, rel=1e-9)
    assert ours.cider.tolist() == pytest.approx(each_cider.tolist(), rel=1e-9, abs=1e-12)
    assert ours.rouge_l.mean() == pytest.approx(rouge, rel=1e-9)
    assert ours.rouge_l.tolist() == pytest.approx(each_rouge.tolist(), rel=1e-9)
