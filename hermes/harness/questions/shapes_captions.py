"""Full captions of the shapes world, from the text back to the objects; exact, or nothing."""

import re

from hermes.shapes.scene import (
    CELL,
    COLORS,
    GRID,
    RADIUS,
    SHAPES,
    SIZES,
    Obj,
)
from hermes.shapes.words import PLACE_PHRASES, PLACES, Phrase, join, with_article

_PLACES = {phrase: place for place, phrase in PLACE_PHRASES.items()}
_PHRASE = re.compile("an? ({}) ({}) ({}) ({})".format(*map("|".join, (SIZES, COLORS, SHAPES, _PLACES))))


def objects_of(caption: str) -> tuple[Obj, ...] | None:
    """The objects that `captions.full` told, each at the middle of its place.

    None unless the caption reads letter by letter as `captions.full` writes it. No two objects of a scene share a
    place, and only then does the text say how they lie, so a caption that puts two in one place is not one of these.
    """
    objects: list[Obj] = []
    for part in re.split(", | and ", caption):
        found = _PHRASE.fullmatch(part)
        if found is None:
            return None
        size, color, shape, place = found.groups()
        objects.append(_object(size, color, shape, PLACES.index(_PLACES[place])))
    again = join([with_article(str(Phrase.of(obj, ("size", "color", "shape", "place")))) for obj in objects])
    if again != caption or len({obj.cell for obj in objects}) < len(objects):
        return None
    return tuple(objects)


def _object(size: str, color: str, shape: str, cell: int) -> Obj:
    row, column = divmod(cell, GRID)
    x, y, radius = (column + 0.5) * CELL, (row + 0.5) * CELL, sum(RADIUS[size]) / 2
    return Obj(shape, color, size, cell, x, y, radius)
