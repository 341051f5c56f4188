"""Whether a free reply says what a right answer says: in the same words, among others, or by a judge's word.

Words are compared as the reader does, in lower case and without punctuation and articles; numbers by their value, so
that "3.0", "three" and "3" are one, and "-3" and "3" are two.
"""

import re
from collections.abc import Sequence

from hermes.harness.contracts.reader import ARTICLES, DIGITS, is_yes_or_no, said, yes_or_no

SIGNS = "-+−"
_VALUE = rf"[{SIGNS}]?(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?"
_NUMBER = re.compile(_VALUE)
_TOKEN = re.compile(rf"(?<![\w.]){_VALUE}(?![\w.]*\w)|\w+")


def tokens(text: str) -> tuple[str, ...]:
    """The words and numbers of a text; what has neither, such as "+", is one by itself."""
    found = [_plain(token) for token in _TOKEN.findall(text.lower())]
    return tuple(token for token in found if token not in ARTICLES) or tuple(found) or tuple(text.split())


def is_same(reply: str, answers: Sequence[str]) -> bool:
    """Whether the reply is one of the answers; where that is yes or no, its first word counts."""
    return any(
        yes_or_no(reply) == tokens(answer)[0] if is_yes_or_no(answer) else tokens(said(reply)) == tokens(answer)
        for answer in answers
    )


def is_contained(reply: str, answers: Sequence[str]) -> bool:
    """Whether the words of one of the answers stand together in the reply."""
    words = tokens(said(reply))
    return any(
        words[start : start + len(wanted)] == wanted
        for wanted in map(tokens, answers)
        for start in range(len(words) - len(wanted) + 1)
    )


def asked_of_judge(question: str, answers: Sequence[str], reply: str) -> str:
    """What a judge is asked about a reply."""
    return (
        f"Question: {question}\nRight answer: {' / '.join(answers)}\nGiven answer: {' '.join(reply.split())}\n"
        "Does the given answer mean the same as the right answer? Answer yes or no."
    )


def _plain(token: str) -> str:
    """A number without what does not change its value, a number word as digits, and any other word as it is."""
    if not _NUMBER.fullmatch(token):
        return DIGITS.get(token, token)
    whole, _, part = token.lstrip(SIGNS).replace(",", "").partition(".")
    part = part.rstrip("0")
    value = (whole.lstrip("0") or "0") + (f".{part}" if part else "")
    return f"-{value}" if token[0] in "-−" and value != "0" else value
