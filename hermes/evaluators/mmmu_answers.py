"""MMMU's readers: the letter that an answer names, what an open answer says, and the columns that hold the gold."""

import math
import re
from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any

from hermes.harness.contracts.fields import nested
from hermes.harness.contracts.reader import gold_choice
from hermes.harness.system.errors import HermesError

FORMS = {"official": ("({})", " {} "), "lmms-eval": ("({})", "{} ", "{}.")}
CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)


def read_letter(reply: str, options: Sequence[str], protocol: str) -> str | None:
    """The letter that the answer names, by itself or by its option's text; None where the protocol would draw one."""
    for mark in ",.!?;:'":
        reply = reply.strip(mark)
    reply = f" {reply} "
    letters = ascii_uppercase[: len(options)]
    for form in FORMS[protocol]:
        if named := [letter for letter in letters if form.format(letter) in reply]:
            place = form if form == "({})" else " {} "
            return max(named, key=lambda letter: reply.rfind(place.format(letter)))
    if len(reply.split()) > 5:
        spots = {letter: reply.lower().rfind(option.lower()) for letter, option in zip(letters, options, strict=False)}
        if max(spots.values(), default=-1) >= 0:
            return max(spots, key=spots.__getitem__)
    return None


def normalise(reply: str) -> list[float | str]:
    """A number rounded to 2 decimals, or the text in lower case (one letter: with a space before, and after)."""
    reply = reply.strip()
    try:
        return [round(float(reply.replace(",", "")), 2)]
    except ValueError:
        reply = reply.lower()
        return [f" {reply}", f"{reply} "] if len(reply) == 1 else [reply]


def tail(line: str, cues: Sequence[str]) -> str:
    """The shortest text after the last mention of a cue; an empty one gives way to the next cue's."""
    best = ""
    for cue in cues:
        if cue in line:
            rest = line.split(cue)[-1].strip()
            best = rest if not best or len(rest) < len(best) else best
    return best


def read_open(reply: str) -> set[float | str]:
    """Every number and text that the answer may mean."""
    reply = reply.strip().strip(".").lower()
    *lines, last = reply.split("\n")
    tails = [tail(line, CUES) for line in lines] + [tail(last, (*CUES, "="))]
    keys = [key for key in tails if key and key not in TRIVIAL] or [reply]
    numbers = [number for key in keys for pattern in NUMBERS for number in re.findall(pattern, key)]
    return {value for found in keys + numbers for value in normalise(found)}


def listed(values: Iterable[float | str]) -> list[float | str]:
    """The numbers, then the texts, each sorted; numbers that JSON cannot hold as text."""
    numbers = sorted(value for value in values if not isinstance(value, str))
    return [
        *(value if math.isfinite(value) else str(value) for value in numbers),
        *sorted(value for value in values if isinstance(value, str)),
    ]


def open_correct(said: Iterable[float | str], gold: Sequence[str]) -> bool:
    """Whether a gold number is among the read ones, or a gold text stands inside a read one."""
    values = [value for one in gold for value in normalise(one)]
    texts = [value for value in values if isinstance(value, str)]
    return any(any(t in one for t in texts) if isinstance(one, str) else one in values for one in said)


def strings(column: Any) -> list[str] | None:
    """The strings of a list, or of a text that holds a Python list of strings; None where it is neither."""
    column = nested(column)
    return column if isinstance(column, list) and all(isinstance(item, str) for item in column) else None


def gold_answers(column: Any) -> list[str]:
    """The right answers of a column that holds one, a list, or a list written as text."""
    if isinstance(column, list):
        return [str(one) for one in column]
    return strings(column) or [str(column)]


def gold_letter(gold: str, options: Sequence[str], where: str) -> str:
    """The letter that a right answer means: itself, or that of the one option that a small letter or a text may mean.

    Raises HermesError where it means none, or may mean several, as a number does that is one option and counts another.
    """
    letters = tuple(ascii_uppercase[: len(options)])
    if gold in letters:
        return gold
    meant = {gold_choice(gold, options)}
    if gold.upper() in letters:
        meant.add(letters.index(gold.upper()))
    if gold.isdecimal() and int(gold) < len(options):
        meant.add(int(gold))
    (place, *others) = meant
    if place is None or others:
        wanted = f"a letter from A to {letters[-1]}"
        raise HermesError(f"{where}: the answer {gold[:40]!r} is no single option; give {wanted}")
    return letters[place]
