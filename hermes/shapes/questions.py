"""Questions about scenes: one small asker for each kind, the homologous items, and the propositions of a scene.

Kinds, with the benchmarks that ask such questions:

========== ======================================================== ===========================
exists     Is there a red circle in the image?                      POPE, MME existence
exactly    Are there exactly two circles in the image?              MME count
relation   Is the red circle above the blue square?                 MME position, GQA verify
is_color   Is the circle red?                                       MME color, GQA verify
is_shape   Is the red object a circle?                              GQA verify
is_size    Is the red circle large?                                 GQA verify
is_at      Is the red circle in the top left?                       GQA verify
same       Are the circle and the square the same color?            GQA compare
larger     Is the red circle larger than the blue square?           GQA compare
more       Are there more circles than squares?                     GQA compare
empty      Is it empty at the top?                                  VQAv2 yes/no
total      Are there exactly three objects in the image?            VQAv2 yes/no
sum        Is the number of circles plus the number of squares ...? MME numerical calculation
french     Is there a 'cercle' in the image? Is the circle 'rouge'? MME text translation
code       Is the value of count('circle') + 1 equal to 3?          MME code reasoning
logical    Is there a red circle and a blue square in the image?    GQA logical
color      What color is the circle?                                VQAv2 other, GQA query
shape      What shape is the red object?                            VQAv2 other, GQA query
size       What size is the red circle?                             VQAv2 other, GQA query
count      How many circles are in the image?                       VQAv2 number
place      Where is the red circle?                                 VQAv2 other
object     What is in the top left?                                 VQAv2 other, GQA query
beside     What is left of the red circle?                          VQAv2 other, GQA query
choose     Is the circle red or blue?                               GQA choose
========== ======================================================== ===========================
"""

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from hermes.harness.system.errors import HermesError
from hermes.shapes.answers import NONE, SEVERAL, answer
from hermes.shapes.askers import OPEN_ASKERS, YES_NO_ASKERS, are_there_exactly, is_there
from hermes.shapes.scene import COLORS, SHAPES, SIZES, Scene
from hermes.shapes.words import (
    PLACE_PHRASES,
    PLACES,
    Phrase,
    in_reading_order,
    place_of,
    told_relations,
    uniquely_named,
)

__all__ = [
    "CHOICES",
    "KINDS",
    "NONE",
    "OPEN",
    "QA",
    "SEVERAL",
    "YES_NO",
    "Proposition",
    "answer",
    "are_there_exactly",
    "ask",
    "choices",
    "homologous",
    "is_there",
    "propositions",
]


@dataclass(frozen=True)
class QA:
    question: str
    answer: str
    kind: str


YES_NO = tuple(YES_NO_ASKERS)
OPEN = tuple(OPEN_ASKERS)
KINDS = YES_NO + OPEN
CHOICES: dict[str, tuple[str, ...]] = {
    "color": COLORS,
    "shape": (*SHAPES, "star", "heart"),
    "size": (*SIZES, "medium", "tiny"),
    "count": tuple("1234"),
    "place": PLACES,
    "axis": ("left", "right", "above", "below"),
    "yes_no": ("yes", "no", "both", NONE),
}


def ask(scene: Scene, rng: random.Random, kind: str, want: Literal["yes", "no"] | None = None) -> QA | None:
    """One unambiguous question of a kind; None where the scene allows none.

    Yes/no kinds are balanced; where the scene allows only one of the two answers, that one is asked for, unless
    ``want`` names the answer. Raises KeyError for an unknown kind.
    """
    if kind in OPEN_ASKERS:
        found = OPEN_ASKERS[kind](scene.objects, rng)
        return QA(*found, kind) if found else None
    truth = rng.random() < 0.5 if want is None else want == "yes"
    for attempt in (truth, not truth) if want is None else (truth,):
        question = YES_NO_ASKERS[kind](scene.objects, rng, attempt)
        if question:
            return QA(question, "yes" if attempt else "no", kind)
    return None


def choices(qa: QA, rng: random.Random) -> tuple[str, ...]:
    """Four different options in random order, one of them the answer, the others of the same sort."""
    if qa.kind in ("object", "beside"):
        color, shape = qa.answer.split()
        others = rng.sample([other for other in COLORS if other != color], 2)
        shapes = rng.sample([other for other in SHAPES if other != shape], 2)
        wrong = [f"{others[0]} {shape}", f"{color} {shapes[0]}", f"{others[1]} {shapes[1]}"]
    else:
        pool = next(values for values in (CHOICES.get(qa.kind, ()), *CHOICES.values()) if qa.answer in values)
        wrong = rng.sample([other for other in pool if other != qa.answer], 3)
    return tuple(rng.sample([qa.answer, *wrong], 4))


def homologous(scene: Scene, rng: random.Random, n: int = 6) -> list[QA]:
    """``n`` different questions whose answers follow from ``captions.full(scene)``.

    One yes/no question at most in three, so that an image without objects answers few of them rightly.
    """
    plan = ["exists", "count", *rng.sample(("color", "shape", "size", "place"), 4)]
    if rng.random() < 0.5 and len(uniquely_named(scene.objects)) > 1:
        plan[rng.randrange(2, 6)] = "relation"
    asked: dict[str, QA] = {}
    turn = 0
    while len(asked) < n:
        kind = plan[turn] if turn < len(plan) else rng.choice(("color", "shape", "size", "place", "count"))
        turn += 1
        qa = ask(scene, rng, kind)
        if qa:
            asked.setdefault(qa.question, qa)
        if turn > 50 * n:
            raise HermesError(f"homologous: no {n} different questions about the scene {scene.key!r}; ask for fewer")
    return rng.sample(list(asked.values()), n)


class Proposition(NamedTuple):
    """One row of DPG-Bench: ``dependencies`` are the 1-based places of others in the same list."""

    category: str
    tuple_text: str
    question: str
    dependencies: tuple[int, ...]


def propositions(scene: Scene) -> list[Proposition]:
    """What ``captions.dense(scene)`` claims, as yes/no questions that the scene answers with yes.

    An entity for each shape; colours and sizes as attributes and places as relations of it; relations between uniquely
    named objects; a count for each repeated shape (else for the first one); the number of objects as the global one.
    """
    rows: list[Proposition] = []
    entities: dict[str, int] = {}
    objects = in_reading_order(scene.objects)

    def add(text: str, question: str, *dependencies: int) -> None:
        row = Proposition(text.split(" - ")[0], text, question, tuple(sorted(set(dependencies))))
        if row not in rows:
            rows.append(row)

    for shape in dict.fromkeys(obj.shape for obj in objects):
        add(f"entity - whole ({shape})", is_there(Phrase(shape=shape)))
        entities[shape] = len(rows)
    for obj in objects:
        entity, place = entities[obj.shape], place_of(obj)
        named = Phrase.of(obj, ("color", "shape"))
        add(f"attribute - color ({obj.shape}, {obj.color})", is_there(named), entity)
        add(f"attribute - size ({named}, {obj.size})", is_there(replace(named, size=obj.size)), entity)
        there = is_there(replace(named, place=place))
        add(f"relation - spatial ({named}, {PLACE_PHRASES[place]})", there, entity)
    for a, relation, b in told_relations(objects):
        text = f"relation - spatial ({a.name}, {b.name}, {relation})"
        add(text, f"Is the {a.name} {relation} the {b.name}?", entities[a.shape], entities[b.shape])
    counts = Counter(obj.shape for obj in objects)
    for shape in [shape for shape, count in counts.items() if count > 1] or list(counts)[:1]:
        phrase = Phrase(shape=shape)
        text = f"other - count ({phrase.plural} =={counts[shape]})"
        add(text, are_there_exactly(phrase, counts[shape]), entities[shape])
    add(f"global - number (objects =={len(objects)})", are_there_exactly(Phrase(), len(objects)))
    return rows
