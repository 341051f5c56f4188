"""True sentences about a scene, in the styles of Flickr30k, GenEval and DPG-Bench. Lower case, few words."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from hermes.shapes.scene import Obj, Scene
from hermes.shapes.words import (
    NUMBERS,
    PLACE_PHRASES,
    Phrase,
    grid_position,
    in_reading_order,
    join,
    main_relation,
    place_of,
    told_relations,
    with_article,
)

_OPENERS = ("", "", "an image of ", "a picture of ", "there ")


def told(phrases: Iterable[Phrase]) -> str:
    """``two red circles and a white square``: what reads alike is counted; "" of none."""
    found = [phrase.counted(count) for phrase, count in Counter(phrases).items()]
    return join(found) if found else ""


def _list(objects: Iterable[Obj], attributes: Sequence[str]) -> str:
    return told(Phrase.of(obj, attributes) for obj in objects)


def _order(scene: Scene, rng: random.Random) -> list[Obj]:
    if rng.random() < 0.5:
        return in_reading_order(scene.objects)
    return rng.sample(scene.objects, len(scene.objects))


def complete(objects: Iterable[Obj]) -> str:
    """Every object with size, colour, shape and place, in the order given."""
    return _list(objects, ("size", "color", "shape", "place"))


def full(scene: Scene, rng: random.Random) -> str:
    """Every object with all that it has, in reading order half of the time."""
    return complete(_order(scene, rng))


def _related(scene: Scene, rng: random.Random) -> str:
    """``a red circle left of a blue square with a white cross``, or ``next to`` where the two are neighbours."""
    a, b, *rest = rng.sample(scene.objects, len(scene.objects))
    (row_a, column_a), (row_b, column_b) = grid_position(a), grid_position(b)
    near = max(abs(row_a - row_b), abs(column_a - column_b)) == 1
    relation = "next to" if near and rng.random() < 0.4 else main_relation(a, b)
    text = f"{with_article(a.name)} {relation} {with_article(b.name)}"
    return f"{text} with {_list(rest, ('color', 'shape'))}" if rest else text


_STYLES = (
    ("color", "shape"),
    ("color", "shape", "place"),
    ("size", "color", "shape"),
    ("related",),
    ("shape", "place"),
)


def _reference(scene: Scene, rng: random.Random, style: Sequence[str]) -> str:
    if style == ("related",) and len(scene.objects) > 1:
        text = _related(scene, rng)
    else:
        text = _list(_order(scene, rng), style if style != ("related",) else ("color", "shape"))
    opener = rng.choice(_OPENERS)
    if opener == "there ":
        opener = "there is " if text.startswith(("a ", "an ")) else "there are "
    ending = " on a gray background" if rng.random() < 0.15 else ""
    return opener + text + ending


def reference(scene: Scene, rng: random.Random) -> str:
    """One sentence as an annotator might write it; it names every object, not every attribute."""
    return _reference(scene, rng, rng.choice(_STYLES))


def references(scene: Scene, rng: random.Random) -> list[str]:
    """Five different one-sentence references (Flickr30k has five captions an image)."""
    found: dict[str, None] = {}
    turn = 0
    while len(found) < len(_STYLES):
        found[_reference(scene, rng, _STYLES[turn % len(_STYLES)])] = None
        turn += 1
    return list(found)


def dense(scene: Scene, rng: random.Random) -> str:
    """Several sentences: the number of objects, each with all it has, and how uniquely named neighbours lie."""
    count = len(scene.objects)
    number = "one object" if count == 1 else f"{NUMBERS[count]} objects"
    opening = rng.choice((f"there {'is' if count == 1 else 'are'} {number}.", f"the image shows {number}."))
    sentences = [
        f"{with_article(str(Phrase.of(obj, ('size', 'color', 'shape'))))} is {PLACE_PHRASES[place_of(obj)]}."
        for obj in _order(scene, rng)
    ]
    relations = [f"the {a.name} is {relation} the {b.name}." for a, relation, b in told_relations(scene.objects)]
    return " ".join((opening, *sentences, *relations))


def photo_of_object(shape: str) -> str:
    """GenEval single_object: ``a photo of a circle``."""
    return f"a photo of {with_article(shape)}"


def photo_of_two(first: str, second: str) -> str:
    """GenEval two_object: ``a photo of a circle and a square``."""
    return f"a photo of {with_article(first)} and {with_article(second)}"


def photo_of_count(shape: str, count: int) -> str:
    """GenEval counting: ``a photo of two squares``."""
    return f"a photo of {Phrase(shape=shape).counted(count)}"


def photo_of_colored(color: str, shape: str) -> str:
    """GenEval colors: ``a photo of a red circle``."""
    return photo_of_object(f"{color} {shape}")


def photo_of_position(shape: str, relation: str, anchor: str) -> str:
    """GenEval position: ``a photo of a circle left of a square``."""
    return f"a photo of {with_article(shape)} {relation} {with_article(anchor)}"


def photo_of_two_colored(first: tuple[str, str], second: tuple[str, str]) -> str:
    """GenEval color_attr, from (color, shape) pairs: ``a photo of a red circle and a blue square``."""
    return photo_of_two(" ".join(first), " ".join(second))


def photo(scene: Scene, rng: random.Random) -> str | None:
    """A GenEval prompt that the scene meets with no object left over; None where there is none."""
    objects = rng.sample(scene.objects, len(scene.objects))
    a = objects[0]
    if len(objects) == 1:
        return rng.choice((photo_of_object(a.shape), photo_of_colored(a.color, a.shape)))
    if len({obj.shape for obj in objects}) == 1:
        return photo_of_count(a.shape, len(objects))
    if len(objects) > 2:
        return None
    b = objects[1]
    return rng.choice(
        (
            photo_of_two(a.shape, b.shape),
            photo_of_position(a.shape, main_relation(a, b), b.shape),
            photo_of_two_colored((a.color, a.shape), (b.color, b.shape)),
        )
    )


def simple(scene: Scene, rng: random.Random) -> str:
    """One true wording out of all styles, as an image generator is trained on: full captions 35 %, GenEval's templates
    25 % (where one is complete, else a reference), references 25 %, dense 15 %."""
    draw = rng.random()
    if draw < 0.35:
        return full(scene, rng)
    if draw < 0.60:
        return photo(scene, rng) or reference(scene, rng)
    return reference(scene, rng) if draw < 0.85 else dense(scene, rng)
