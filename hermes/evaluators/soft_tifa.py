"""Soft-TIFA: how probable the first token of a right answer is, from the first-token probabilities of a judge.

A question's answer may be spelled in several ways, and a spelling may be one token or begin with one. The probabilities
of one question are a mapping from the text of a token to its probability; ``rest`` is that of all tokens that are not
listed, and ``pieces`` names the first token of each spelling that is no token of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Weights = Mapping[str, float]
COUNTED = "How many"
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {word: str(number) for number, word in enumerate(WORDS, 1)}
# The official judge's vocabulary (Qwen): a space before a digit is a token of its own, and so is each digit.
QWEN = {
    **{f" {digits}": " " for digits in DIGITS.values()},
    **{"10": "1", "eleven": "ele", "Eleven": "Ele", "twelve": "tw", "Twelve": "Tw"},
}
UNSEEN = 1e-6
"""More than this among the tokens that are not listed may be a right answer that is not listed."""


def spellings(question: str, answer: str) -> tuple[str, ...]:
    """The official ways to spell the right answer; that of every question without a number is yes.

    Above ten the word "other" stands where the digits do.
    """
    if not question.startswith(COUNTED):
        return "Yes", "yes", " yes", " Yes"
    words = (answer, answer.capitalize(), DIGITS.get(answer, "other"))
    return *words, *(f" {word}" for word in words)


def answers(answer: str) -> tuple[str, ...]:
    """The right answer as it is listed, in lower case: a number in words and in digits."""
    word = answer.strip().lower()
    return (word, DIGITS[word]) if word in DIGITS else (word,)


def whole(answer: str) -> tuple[str, ...]:
    """The usual tokens that are the right answer when spaces and case are left out."""
    forms = [form for one in answers(answer) for form in (one, one.capitalize(), one.upper())]
    return tuple(dict.fromkeys(space + form for space in ("", " ") for form in forms))


@dataclass(frozen=True)
class Asked:
    """One question with the probabilities of the judge's first token."""

    question: str
    answer: str
    weights: Weights
    rest: float
    pieces: Mapping[str, str]

    def soft(self, protocol: str) -> float:
        """The probability of a right answer: officially that of the first tokens of its spellings, of a sum of 1.

        Corrected: that of the tokens that are the listed answer.
        """
        if protocol != "official":
            return sum(weight for token, weight in self.weights.items() if self._is_right(token))
        total = sum(self.weights.values()) + self.rest
        return sum(self.weights.get(token, 0.0) for token in self._firsts()) / total

    def hard(self, protocol: str) -> bool:
        """Whether the most probable token is a right answer; officially if it is a spelling in lower case."""
        top = max(self.weights, key=lambda token: self.weights[token])
        return top.lower() in spellings(self.question, self.answer) if protocol == "official" else self._is_right(top)

    def unseen(self, protocol: str) -> bool:
        """Whether a right answer may be among the tokens that are not listed, and none is among those that are."""
        right = self._firsts() if protocol == "official" else filter(self._is_right, self.weights)
        return self.rest > UNSEEN and not any(token in self.weights for token in right)

    def _firsts(self) -> list[str]:
        """The first tokens of the official spellings, each once."""
        return list(dict.fromkeys(self.pieces.get(one, one) for one in spellings(self.question, self.answer)))

    def _is_right(self, token: str) -> bool:
        return token.strip().lower() in answers(self.answer)


def geometric(values: Sequence[float]) -> float:
    """The geometric mean of numbers of 0 or more; 0 where one is 0."""
    if not all(values):
        return 0.0
    return float(np.exp(np.mean(np.log(values))))


def are_weights(found: object) -> bool:
    """Whether this is a mapping of tokens to probabilities."""
    return isinstance(found, Mapping) and bool(found) and all(map(_is_probability, found.values()))


def _is_probability(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1.01
    )
