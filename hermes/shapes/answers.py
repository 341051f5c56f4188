"""The exact reader of the question grammar: any question of it, about any list of objects, has one answer."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from hermes.shapes.scene import COLORS, SHAPES, SIZES, Obj
from hermes.shapes.words import (
    FRENCH,
    NUMBERS,
    PLACE_PHRASES,
    RELATIONS,
    Phrase,
    holds,
    place_of,
    plural,
)

NONE = "none"
SEVERAL = "several"

_PLACE_NAMES = {phrase: place for place, phrase in PLACE_PHRASES.items()}
_NOUNS = {form: noun for noun in (*SHAPES, "object") for form in (noun, plural(noun))}
_ENGLISH = {foreign: word for word, foreign in FRENCH.items()}


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_PHRASE = rf"(?:(?:{_any(SIZES)}) )?(?:(?:{_any(COLORS)}) )?(?:{_any(_NOUNS)})(?: (?:{_any(_PLACE_NAMES)}))?"
_READ_PHRASE = re.compile(
    rf"(?:({_any(SIZES)}) )?(?:({_any(COLORS)}) )?({_any(_NOUNS)})(?: ({_any(_PLACE_NAMES)}))?",
)
_SLOTS = {
    "a": "an?",
    "is": "(?:Is|Are)",
    "phrase": f"({_PHRASE})",
    "place": f"({_any(_PLACE_NAMES)})",
    "relation": f"({_any(RELATIONS)})",
    "attribute": "(color|shape|size)",
    "word": f"({_any((*SIZES, *COLORS))})",
    "shape": f"({_any(SHAPES)})",
    "number": f"({_any(NUMBERS)})",
    "junction": "(and|or)",
    "operator": r"([+*])",
    "digits": r"(\d+)",
    "foreign": f"({_any(_ENGLISH)})",
}


@lru_cache(maxsize=4096)
def _phrase(text: str) -> Phrase:
    found = _READ_PHRASE.fullmatch(text)
    assert found is not None
    size, color, noun, place = found.groups()
    shape = _NOUNS[noun]
    return Phrase(size, color, None if shape == "object" else shape, _PLACE_NAMES.get(place))


def _find(objects: Sequence[Obj], text: str) -> list[Obj]:
    return _phrase(text).among(objects)


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _agreed(values: Iterable[str]) -> str:
    """The one value that all share."""
    different = set(values)
    return NONE if not different else different.pop() if len(different) == 1 else SEVERAL


def _logical(objects: Sequence[Obj], a: str, junction: str, b: str) -> str:
    both = bool(_find(objects, a)), bool(_find(objects, b))
    return _yes(all(both) if junction == "and" else any(both))


def _related(objects: Sequence[Obj], a: str, relation: str, b: str) -> str:
    return _yes(any(holds(p, relation, q) for p in _find(objects, a) for q in _find(objects, b)))


def _beside(objects: Sequence[Obj], relation: str, text: str) -> str:
    return _agreed(p.name for q in _find(objects, text) for p in objects if holds(p, relation, q))


def _choose_axis(objects: Sequence[Obj], a: str, first: str, second: str, b: str) -> str:
    relation = {"left": "left of", "right": "right of"}
    true = [way for way in (first, second) if _related(objects, a, relation.get(way, way), b) == "yes"]
    return _agreed(true)


def _same(objects: Sequence[Obj], a: str, b: str, attribute: str) -> str:
    pairs = ((p, q) for p in _find(objects, a) for q in _find(objects, b) if p is not q)
    return _yes(any(getattr(p, attribute) == getattr(q, attribute) for p, q in pairs))


def _larger(objects: Sequence[Obj], a: str, b: str) -> str:
    pairs = ((p.size, q.size) for p in _find(objects, a) for q in _find(objects, b))
    return _yes(("large", "small") in pairs)


def _is_word(objects: Sequence[Obj], text: str, word: str) -> str:
    return _yes(any(word in (obj.color, obj.size, obj.shape) for obj in _find(objects, text)))


def _either(objects: Sequence[Obj], text: str, first: str, second: str) -> str:
    found = _find(objects, text)
    return _agreed(word for word in (first, second) if _is_word(found, text, word) == "yes")


def _calculated(objects: Sequence[Obj], shape: str, operator: str, number: str, value: str) -> str:
    count = len(_find(objects, shape))
    return _yes((count + int(number) if operator == "+" else count * int(number)) == int(value))


def _summed(objects: Sequence[Obj], a: str, b: str, value: str) -> str:
    return _yes(len(_find(objects, a)) + len(_find(objects, b)) == int(value))


_GRAMMAR: tuple[tuple[str, Callable[..., str]], ...] = (
    ("Is there {a} {phrase} in the image?", lambda o, a: _yes(bool(_find(o, a)))),
    ("Is there {a} {phrase}?", lambda o, a: _yes(bool(_find(o, a)))),
    ("Is there {a} {phrase} {junction} {a} {phrase} in the image?", _logical),
    ("{is} there exactly {number} {phrase} in the image?", lambda o, n, a: _yes(len(_find(o, a)) == NUMBERS.index(n))),
    ("How many {phrase} are in the image?", lambda o, a: str(len(_find(o, a)))),
    ("What {attribute} is the {phrase}?", lambda o, kind, a: _agreed(getattr(obj, kind) for obj in _find(o, a))),
    ("Where is the {phrase}?", lambda o, a: _agreed(map(place_of, _find(o, a)))),
    ("What is {place}?", lambda o, place: _agreed(obj.name for obj in o if place_of(obj) == _PLACE_NAMES[place])),
    ("What is {relation} the {phrase}?", _beside),
    ("Is the {phrase} {relation} the {phrase}?", _related),
    ("Is the {phrase} {place}?", lambda o, a, place: _yes(_PLACE_NAMES[place] in map(place_of, _find(o, a)))),
    ("Is the {phrase} {word}?", _is_word),
    ("Is the {phrase} {a} {shape}?", _is_word),
    ("Is the {phrase} {word} or {word}?", _either),
    ("Is the {phrase} {a} {shape} or {a} {shape}?", _either),
    ("Is the {phrase} (left) or (right) of the {phrase}?", _choose_axis),
    ("Is the {phrase} (above) or (below) the {phrase}?", _choose_axis),
    ("Are the {phrase} and the {phrase} the same {attribute}?", _same),
    ("Is the {phrase} larger than the {phrase}?", _larger),
    ("Are there more {phrase} than {phrase}?", lambda o, a, b: _yes(len(_find(o, a)) > len(_find(o, b)))),
    ("Is it empty {place}?", lambda o, place: _yes(all(place_of(obj) != _PLACE_NAMES[place] for obj in o))),
    ("Is the number of {phrase} plus the number of {phrase} equal to {digits}?", _summed),
    ("Is the value of count\\('{shape}'\\) {operator} {digits} equal to {digits}?", _calculated),
    ("Is there {a} '{foreign}' in the image?", lambda o, word: _yes(any(_ENGLISH[word] == obj.shape for obj in o))),
    ("Is the {phrase} '{foreign}'?", lambda o, a, word: _is_word(o, a, _ENGLISH[word])),
)
_PATTERNS = tuple(
    (re.compile(re.sub(r"\{(\w+)\}", lambda slot: _SLOTS[slot[1]], template.replace("?", "\\?"))), reply)
    for template, reply in _GRAMMAR
)


def answer(question: str, objects: Sequence[Obj]) -> str | None:
    """The answer to a question of the grammar about any objects; None where the question is not of the grammar.

    ``the circle`` where there is no circle gives ``none`` (or ``no``); where there are several, yes/no questions ask
    whether any will do, and other questions give the value all of them share, or ``several``.
    """
    for pattern, reply in _PATTERNS:
        found = pattern.fullmatch(question.strip())
        if found:
            return reply(objects, *found.groups())
    return None
