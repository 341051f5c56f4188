"""What WISE's judges reply: three scores of 0 to 2, or one of 0 or 1, read as the official scripts do or strictly."""

import re
from collections.abc import Iterable, Mapping

Scores = dict[str, float]
THREE = ("consistency", "realism", "aesthetic_quality")
_KEYS = "Consistency|Realism|Aesthetic Quality"
_LEGACY = re.compile(rf"\*{{0,2}}({_KEYS})\*{{0,2}}\s*:?\s*(\d)", re.IGNORECASE)
_VERIFIED = re.compile(r"\*{0,2}Score\*{0,2}\s*:?\s*([01])\b", re.IGNORECASE)
_NAMED = r"(?<![A-Za-z])({})[\s*]*[:：]?[\s*]*(-?\d+(?:\.\d+)?)"
_STRICT_LEGACY = re.compile(_NAMED.format(_KEYS), re.IGNORECASE)
_STRICT_VERIFIED = re.compile(_NAMED.format("Score"), re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?</think>\s*|</think>\s*", re.DOTALL)


def legacy_scores(reply: str) -> Scores:
    """All scores that the paper's script finds: one digit of any size after a name, and of a name the last.

    Where it finds none, the first three lines that are nothing but 0, 1 or 2.
    """
    found = {_key(name): float(digit) for name, digit in _LEGACY.findall(reply)}
    return found or _three_lines(reply)


def strict_legacy_scores(reply: str) -> Scores:
    """As `legacy_scores`, of whole names and of whole numbers of 0 to 2; marks may stand around colons and numbers."""
    found = _STRICT_LEGACY.findall(reply)
    return _whole(found, 2) if found else _three_lines(reply)


def verified_scores(reply: str) -> Scores:
    """The first 0 or 1 after the word score, else the only line that is nothing but 0 or 1; without reasoning."""
    reply = without_thought(reply)
    found = _VERIFIED.search(reply)
    return {"score": float(found[1])} if found else _one_line(reply)


def strict_verified_scores(reply: str) -> Scores:
    """As `verified_scores`, of the whole word and of a whole 0 or 1; marks may stand around colon and number."""
    reply = without_thought(reply)
    found = _STRICT_VERIFIED.findall(reply)
    return _whole(found[:1], 1) if found else _one_line(reply)


def without_thought(reply: str) -> str:
    """The reply without reasoning, as the official script leaves it."""
    return _THOUGHT.sub("", reply).strip()


def complete(scores: Mapping[str, object], keys: Iterable[str]) -> bool:
    """Whether there is a number under each of these names."""
    return all(isinstance(scores.get(key), int | float) for key in keys)


def _whole(found: Iterable[tuple[str, str]], most: int) -> Scores:
    """The last number of each name, as far as it is one digit from 0 to ``most``."""
    last = {_key(name): number for name, number in found}
    return {key: float(number) for key, number in last.items() if len(number) == 1 and int(number) <= most}


def _three_lines(reply: str) -> Scores:
    lines = re.findall(r"^\s*([0-2])\s*$", reply, re.MULTILINE)
    return dict(zip(THREE, map(float, lines), strict=False)) if len(lines) >= len(THREE) else {}


def _one_line(reply: str) -> Scores:
    lines = re.findall(r"^\s*([01])\s*$", reply, re.MULTILINE)
    return {"score": float(lines[0])} if len(lines) == 1 else {}


def _key(name: str) -> str:
    return name.lower().replace(" ", "_")
