"""The caption metrics equal pycocoevalcap's recorded scores, and behave as their definitions say."""

from typing import Any

import numpy as np
import pytest
from asked import golden
from hypothesis import given
from hypothesis import strategies as st

from hermes.evaluators.caption_metrics import CaptionScores, caption_scores
from hermes.evaluators.ptb_tokenizer import tokenize
from hermes.harness.system.errors import HermesError

SENTENCES = st.lists(st.sampled_from(["a", "red", "blue", "circle", "square", "left", "of"]), max_size=8).map(" ".join)


def figures(scores: CaptionScores) -> dict[str, float]:
    bleu = {f"Bleu_{n}": value for n, value in enumerate(scores.bleu().tolist(), 1)}
    return {"CIDEr": float(scores.cider.mean()), "ROUGE_L": float(scores.rouge_l.mean()), **bleu}


def expected(record: dict[str, Any]) -> Any:
    return pytest.approx({name: record[name] for name in ("CIDEr", "ROUGE_L", "Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4")})


def test_equals_the_reference_scorers() -> None:
    recorded = golden("flickr30k")
    captions = [case["candidate"] for case in recorded["cases"]]
    references = [case["references"] for case in recorded["cases"]]
    scores = caption_scores(captions, references)
    assert figures(scores) == expected(recorded["aggregates"])
    each = scores.bleu_each()
    for place, case in enumerate(recorded["cases"]):
        found = {"CIDEr": scores.cider[place], "ROUGE_L": scores.rouge_l[place]}
        found |= {f"Bleu_{n + 1}": each[place, n] for n in range(4)}
        assert found == expected(case["expected"]), case["image_id"]
    for record in recorded["subset_aggregates"].values():
        chosen = record["indices"]
        subset = caption_scores([captions[k] for k in chosen], [references[k] for k in chosen])
        assert figures(subset) == expected(record)
    for name, record in recorded["empty_candidate_sets"].items():
        place = int(name.split("_")[3])
        emptied = [*captions[:place], "", *captions[place + 1 : 30]]
        scores = caption_scores(emptied, references[:30])
        assert figures(scores) == expected(record)
        each = {"CIDEr": scores.cider[place], "ROUGE_L": scores.rouge_l[place]}
        each |= {f"Bleu_{n + 1}": value for n, value in enumerate(scores.bleu_each()[place])}
        assert each == pytest.approx(record["per_image"], abs=1e-12)
        assert tokenize("") == record["tokenized_candidate"]


def test_cider_of_a_known_corpus() -> None:
    references = [["a red circle", "a circle"], ["a blue square", "a square"]]
    scores = caption_scores(["a red circle", "a red circle"], references)
    # "a" is in both images and weighs nothing; unigrams, bigrams and trigrams agree with the first reference and there
    # are no 4-grams: (1 + 1 + 1 + 0) / 4. The second has "circle" alone, one bigram less.
    single = 1 / np.sqrt(2) * np.exp(-1 / 72) / 4
    assert scores.cider.tolist() == pytest.approx([10 * (3 / 4 + single) / 2, 0.0])


def test_bleu_counts_each_match_once_and_takes_the_closest_length() -> None:
    scores = caption_scores(["the the the the"], [["the cat sat", "the cat sat on the mat"]])
    assert scores.matches[0].tolist() == [2, 0, 0, 0]
    assert scores.grams[0].tolist() == [4, 3, 2, 1]
    assert scores.lengths[0].tolist() == [4, 3]
    assert caption_scores(["a b c d"], [["a b c d e", "a b c"]]).lengths[0].tolist() == [4, 3]


def test_rouge_takes_precision_and_recall_from_different_references() -> None:
    scores = caption_scores(["a b c"], [["a b c d e f", "a"]])
    assert scores.rouge_l.tolist() == pytest.approx([1.0])


def test_bleu_of_chosen_images_is_that_of_their_corpus() -> None:
    captions, references = ["a b c d", "a x", "a c d"], [["a b c d"], ["a y"], ["a b c d"]]
    scores = caption_scores(captions, references)
    alone = caption_scores([captions[0], captions[2]], [references[0], references[2]])
    assert scores.bleu(np.array([0, 2])).tolist() == alone.bleu().tolist()


def test_bad_input_is_named() -> None:
    with pytest.raises(HermesError, match="caption 1 has no reference"):
        caption_scores(["a", "b"], [["a"], []])
    with pytest.raises(HermesError, match="2 captions but 1"):
        caption_scores(["a", "b"], [["a"]])
    assert caption_scores([], []).cider.shape == (0,)


@given(st.lists(st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=1, max_size=6))
def test_scores_stay_in_bounds_and_do_not_depend_on_the_order(items: list[tuple[str, list[str]]]) -> None:
    scores = caption_scores(*zip(*items, strict=True))
    assert (scores.cider >= 0).all()
    assert (scores.cider <= 10 + 1e-9).all()
    assert ((scores.bleu_each() >= 0) & (scores.bleu_each() <= 1)).all()
    assert ((scores.rouge_l >= 0) & (scores.rouge_l <= 1 + 1e-12)).all()
    turned = caption_scores(*zip(*items[::-1], strict=True))
    assert turned.cider[::-1] == pytest.approx(scores.cider)
    assert turned.bleu() == pytest.approx(scores.bleu())
