"""The words of the shapes world: places, relations, numbers, and the noun phrases that sentences are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hermes.shapes.scene import CELL, GRID, Obj

PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
PLACE_PHRASES = {
    "top left": "in the top left",
    "top": "at the top",
    "top right": "in the top right",
    "left": "on the left",
    "center": "in the center",
    "right": "on the right",
    "bottom left": "in the bottom left",
    "bottom": "at the bottom",
    "bottom right": "in the bottom right",
}
RELATIONS = ("left of", "right of", "above", "below")
NUMBERS = ("zero", "one", "two", "three", "four")
FRENCH = {
    "circle": "cercle",
    "square": "carré",
    "triangle": "triangle",
    "diamond": "losange",
    "cross": "croix",
    "red": "rouge",
    "orange": "orange",
    "yellow": "jaune",
    "green": "vert",
    "blue": "bleu",
    "purple": "violet",
    "pink": "rose",
    "brown": "marron",
    "black": "noir",
    "white": "blanc",
}
FAR = 6.0


def with_article(words: str) -> str:
    """``a circle``, ``an orange circle``."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def join(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def grid_position(obj: Obj) -> tuple[int, int]:
    """Row and column of the cell that contains the centre."""
    row, column = (min(max(int(value // CELL), 0), GRID - 1) for value in (obj.y, obj.x))
    return row, column


def place_of(obj: Obj) -> str:
    row, column = grid_position(obj)
    return PLACES[row * GRID + column]


def holds(a: Obj, relation: str, b: Obj) -> bool:
    """Whether ``a`` is left of, right of, above or below ``b``: the centres differ by more than FAR pixels that way."""
    if relation in ("left of", "right of"):
        return (b.x - a.x if relation == "left of" else a.x - b.x) > FAR
    return (b.y - a.y if relation == "above" else a.y - b.y) > FAR


def main_relation(a: Obj, b: Obj) -> str:
    """The relation along the axis on which the two centres lie farther apart."""
    dx, dy = b.x - a.x, b.y - a.y
    if abs(dx) >= abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


def uniquely_named(objects: Sequence[Obj]) -> list[Obj]:
    """The objects whose colour and shape together occur once."""
    names = [obj.name for obj in objects]
    return [obj for obj in objects if names.count(obj.name) == 1]


def in_reading_order(objects: Iterable[Obj]) -> list[Obj]:
    return sorted(objects, key=grid_position)


def told_relations(objects: Sequence[Obj]) -> list[tuple[Obj, str, Obj]]:
    """Up to two relations between uniquely named neighbours in reading order: those that a dense caption tells."""
    named = in_reading_order(uniquely_named(objects))
    return [(a, main_relation(a, b), b) for a, b in pairwise(named)][:2]


@dataclass(frozen=True)
class Phrase:
    """A noun phrase such as ``large red circle in the top left``; what is None is left open."""

    size: str | None = None
    color: str | None = None
    shape: str | None = None
    place: str | None = None

    @classmethod
    def of(cls, obj: Obj, attributes: Iterable[str]) -> "Phrase":
        """The named attributes of an object."""
        return cls(**{name: place_of(obj) if name == "place" else getattr(obj, name) for name in attributes})

    def matches(self, obj: Obj) -> bool:
        return (
            self.shape in (None, obj.shape)
            and self.color in (None, obj.color)
            and self.size in (None, obj.size)
            and (self.place is None or self.place == place_of(obj))
        )

    def among(self, objects: Iterable[Obj]) -> list[Obj]:
        return [obj for obj in objects if self.matches(obj)]

    def __str__(self) -> str:
        return self._words(self.shape or "object")

    @property
    def plural(self) -> str:
        return self._words(plural(self.shape or "object"))

    def counted(self, count: int) -> str:
        """``a red circle`` or ``two red circles``."""
        return with_article(str(self)) if count == 1 else f"{NUMBERS[count]} {self.plural}"

    def _words(self, noun: str) -> str:
        place = PLACE_PHRASES[self.place] if self.place else None
        return " ".join(word for word in (self.size, self.color, noun, place) if word)
