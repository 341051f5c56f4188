"""Answers to homologous questions, brought to one form before they are compared."""

import re

ARTICLES = {"a", "an", "the"}
DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}


def normalised(reply: str) -> str:
    """Lower case, words and numbers only, without articles, number words as digits."""
    words = re.findall(r"\w+", reply.lower())
    return " ".join(DIGITS.get(word, word) for word in words if word not in ARTICLES)
