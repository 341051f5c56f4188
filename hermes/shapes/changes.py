"""Changes of one object in words, "make the red circle blue": told of a scene, and read by who is to carry them out."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from hermes.shapes.questions import QA, is_there
from hermes.shapes.scene import COLORS, RADIUS, SHAPES, SIZES, Obj, Scene
from hermes.shapes.words import Phrase, place_of, uniquely_named, with_article

Kind = Literal["color", "shape", "size", "remove"]
KINDS: tuple[Kind, ...] = ("color", "shape", "size", "remove")
OTHERS = {"color": COLORS, "shape": SHAPES, "size": SIZES}
MAKE = re.compile(rf"make the ({'|'.join(COLORS)}) ({'|'.join(SHAPES)}) (?:an? )?(\w+)")
REMOVE = re.compile(rf"remove the ({'|'.join(COLORS)}) ({'|'.join(SHAPES)})")


class Change(NamedTuple):
    """What of the object of this colour and shape becomes ``value``; ``kind`` "remove": it goes."""

    color: str
    shape: str
    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        name = f"{self.color} {self.shape}"
        if self.kind == "remove":
            return f"remove the {name}"
        return f"make the {name} {with_article(self.value) if self.kind == 'shape' else self.value}"

    def of(self, phrases: Sequence[Phrase]) -> list[Phrase]:
        """The phrases as they are after it."""
        found = []
        for phrase in phrases:
            if (phrase.color, phrase.shape) != (self.color, self.shape):
                found.append(phrase)
            elif self.kind != "remove":
                found.append(replace(phrase, **{self.kind: self.value}))
        return found


def read_change(instruction: str) -> Change | None:
    """The change that is told; None where it is none of the drawn world."""
    words = instruction.strip().rstrip(".").lower()
    if found := REMOVE.fullmatch(words):
        return Change(found[1], found[2], "remove")
    found = MAKE.fullmatch(words)
    kind: Kind | None = next((one for one in KINDS if found and found[3] in OTHERS.get(one, ())), None)
    return Change(found[1], found[2], kind, found[3]) if found and kind else None


def change(scene: Scene, rng: random.Random, kind: Kind) -> Change | None:
    """A change of this kind that the scene allows and that leaves all names unique; None where it allows none.

    An object that is alone is not removed.
    """
    named = uniquely_named(scene.objects)
    if not named or (kind == "remove" and len(scene.objects) == 1):
        return None
    obj = rng.choice(named)
    if kind == "remove":
        return Change(obj.color, obj.shape, kind)
    names = {other.name for other in scene.objects}
    values = [value for value in OTHERS[kind] if value != getattr(obj, kind)]
    fitting = [value for value in values if kind == "size" or _with(obj, kind, value).name not in names]
    return Change(obj.color, obj.shape, kind, rng.choice(fitting)) if fitting else None


def changed(scene: Scene, told: Change) -> Scene:
    """The scene after it, drawn with the same jitter; another size has the middle radius of its range."""
    after = []
    for obj in scene.objects:
        if (obj.color, obj.shape) != (told.color, told.shape):
            after.append(obj)
        elif told.kind != "remove":
            after.append(_with(obj, told.kind, told.value))
    return Scene(tuple(after), scene.seed)


def questions(scene: Scene, told: Change) -> list[QA]:
    """What the oracle is asked about the scene after it, by kinds.

    "changed": whether the new object is there, and the old one is not. "kept": whether each other object is as it was,
    where the changed one is, and how many there are.
    """
    after = changed(scene, told)
    (before,) = (obj for obj in scene.objects if (obj.color, obj.shape) == (told.color, told.shape))
    others = [obj for obj in scene.objects if obj is not before]
    asked = []
    if told.kind != "size":
        asked.append(QA(is_there(_named(before)), "no", "changed"))
    for obj in after.objects:
        if obj in others:
            asked.append(QA(is_there(Phrase.of(obj, ("size", "color", "shape", "place"))), "yes", "kept"))
            continue
        asked.append(
            QA(is_there(replace(_named(obj), size=obj.size if told.kind == "size" else None)), "yes", "changed")
        )
        asked.append(QA(f"Where is the {obj.name}?", place_of(obj), "kept"))
    asked.append(QA("How many objects are in the image?", str(len(after.objects)), "kept"))
    return list(dict.fromkeys(asked))


def _with(obj: Obj, kind: Kind, value: str) -> Obj:
    if kind == "size":
        return replace(obj, size=value, radius=sum(RADIUS[value]) / 2)
    return replace(obj, color=value) if kind == "color" else replace(obj, shape=value)


def _named(obj: Obj) -> Phrase:
    return Phrase.of(obj, ("color", "shape"))
