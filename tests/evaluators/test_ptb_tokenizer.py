"""The tokenizer equals Stanford's on recorded sentences, never fails, and leaves its own output as it is."""

import time
from typing import Any

import pytest
from asked import golden
from hypothesis import example, given
from hypothesis import strategies as st

from hermes.evaluators.ptb_tokenizer import tokenize, tokenize_lines

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8).filter(
    lambda word: word[0].isalpha() and word[-1].isalpha() and "--" not in word
)


def test_equals_the_reference_tokenizer() -> None:
    recorded: dict[str, Any] = golden("flickr30k")
    cases = {case["sentence"]: case["tokens_joined"] for case in recorded["ptb_tokenizer_cases"]}
    for case in recorded["cases"]:
        cases |= dict(zip(case["references"], case["expected"]["tokenized_references"], strict=True))
        cases[case["candidate"]] = case["expected"]["tokenized_candidate"]
    assert len(cases) > 400
    assert {sentence: tokenize(sentence) for sentence in cases} == cases


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("A man can't reach the dogs' bowls.", "a man ca n't reach the dogs bowls"),
        (
            "Mr. Smith, No. 5 (left), vs. the U.S. team at 5 p.m.",
            "mr. smith no. 5 -lrb- left -rrb- vs. the u.s. team at 5 p.m.",
        ),
        ("Vitamin C. Then B. 5", "vitamin c then b. 5"),
        ("a 12 1/2 foot board, 3.5ft wide", "a 12\u00a01/2 foot board 3.5 ft wide"),
        ("call 555-123-4567 now :)", "call 555-123-4567 now :-rrb-"),
        ("she’s at O’Brien’s, he'll go", "she 's at o’brien 's he 'll go"),
        ("½ of it … gone — €5, £6", "1/2 of it gone $ 5 # 6"),
        ("tie-dyed and/or w/ 2-year-old's T-shirt", "tie-dyed and/or w / 2-year-old 's t-shirt"),
        ("GONNA cannot 'Tis", "gon na can not 't is"),
        ("an old dog.It runs...away", "an old dog.it runs away"),
        ("“He said ‘hi’” to “”", "he said hi ''' to ``''"),
        ("gonna's cannot’s lemme", "gonna 's cannot 's lem me"),
        ("rock 'n roll, 'n, rock 'n' roll", "rock 'n roll n rock 'n' roll"),
        ("a 2‑year‑old’s x‐ray ‑", "a 2‑year‑old 's x‐ray"),
        ("a 3-D's edge, O'Brien's, d'or, d'a", "a 3-d 's edge o'brien 's d'or d' a"),
        ("❤️ 3⅓ ft — 5–6…", "❤ 3 1/3 ft 5 6"),
        ("\\* a\\/b * **", "\\* a\\/b * **"),
        ("HTTP://A.org/b} “www.a.com” a@b.org.", "http://a.org/b -rcb- “www.a.com a@b.org"),
        ("5'10., R&B., 3.5.; dog.; etc.", "5 10. r&b. 3.5 dog. etc."),
        ("p. <b> A. </i> X. Y", "p <b> a </i> x. y"),
    ],
)
def test_reads_captions_as_the_treebank_does(sentence: str, tokens: str) -> None:
    assert tokenize(sentence) == tokens


@pytest.mark.parametrize(
    ("sentence", "following", "tokens"),
    [
        ("vitamin C.", "The man", "vitamin c"),
        ("vitamin C.", "the man", "vitamin c."),
        ("vitamin C.", "", "vitamin c."),
        ("vitamin C. ", "A-frame house", "vitamin c."),
        ("a No.", "7 dogs", "a no."),
        ("a No.", "seven dogs", "a no"),
        ("a U.S.", "The man", "a u.s."),
        ("a dog.", "A man", "a dog"),
    ],
)
def test_looks_across_the_end_of_the_line(sentence: str, following: str, tokens: str) -> None:
    assert tokenize(sentence, following) == tokens
    assert tokenize_lines([sentence, following])[0] == tokens


def test_a_line_break_within_a_caption_is_a_space() -> None:
    assert tokenize("two\ndogs.\n") == tokenize("two dogs. ") == "two dogs"


@given(st.text())
@example("'" * 50 + "-" * 50)
@example("\u2028\x00\ud800 ’")
def test_never_fails_and_gives_lower_case_words(sentence: str) -> None:
    tokens = tokenize(sentence)
    assert tokens == "" or all(tokens.split(" "))
    assert tokens == tokens.lower() or not sentence.isascii()


@given(st.lists(WORDS, max_size=12))
def test_leaves_plain_words_as_they_are(words: list[str]) -> None:
    once = tokenize(" ".join(words))
    assert tokenize(once) == once


@given(st.lists(WORDS, min_size=1, max_size=12), st.sampled_from([".", " .", "!", " ?", ""]))
def test_drops_the_final_stop(words: list[str], stop: str) -> None:
    assert tokenize(" ".join([*words, "dogs"]) + stop) == tokenize(" ".join([*words, "dogs"]))


@pytest.mark.parametrize("part", ["a'", "(5) ", "a-", "a.", "5,", "<a ", "x@y.", "www.", "1/2 "])
def test_reading_time_grows_with_the_length_alone(part: str) -> None:
    begin = time.process_time()
    assert tokenize(part * 5000)
    assert time.process_time() - begin < 3.0
