"""Questions by rules, for captions that follow a grammar: GenEval's prompts and the full captions of the shapes world.

GenEval's metadata says what its prompt means, so every answer follows from it. One- and two-object prompts claim
nothing that could be denied: their yes/no questions are all answered with yes. Where GenEval asks for one object,
several are right too, so these are not counted. Questions about shapes keep to the grammar that the oracle reads.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hermes.harness.data.homologous.records import Item, Question, Written
from hermes.harness.questions.geneval_prompts import CLASSES, metadata_of
from hermes.harness.questions.shapes_captions import objects_of
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import HermesError
from hermes.shapes.questions import homologous
from hermes.shapes.scene import COLORS, SHAPES, Scene
from hermes.shapes.words import NUMBERS, with_article
from hermes.shapes.words import plural as regular_plural

QUESTIONS = 6
OUTSIDE = "the caption is outside the grammars"
YES_NO = ("yes", "no")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PAIRS = ("skis", "scissors")
IRREGULAR = {"person": "people", "sheep": "sheep", "knife": "knives", "computer mouse": "computer mice"} | {
    noun: noun for noun in PAIRS
}


class RuleWriter:
    """Questions of the two grammars; a caption that is in neither gets none."""

    identity = "rules-1"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def write(self, items: Sequence[Item]) -> list[Written]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Written:
        caption = item.caption or ""
        rng = random.Random(derive_seed(self.seed, item.id, "questions"))
        if metadata := item.metadata or metadata_of(caption):
            return Written(tuple(geneval_questions(metadata, rng, f"item {item.id}")))
        if objects := objects_of(caption):
            asked = homologous(Scene(objects, 0), rng, QUESTIONS)
            return Written(tuple(Question(question=qa.question, answer=qa.answer, kind=qa.kind) for qa in asked))
        return Written(reason=OUTSIDE)


def geneval_questions(metadata: Mapping[str, Any], rng: random.Random, where: str) -> list[Question]:
    """The questions of one GenEval prompt, from its metadata; ``rng`` draws wrong choices and wrong claims.

    Classes that stand in two entries are asked about only by name. Raises HermesError for metadata of another form.
    """
    try:
        entries = [(str(entry["class"]), int(entry["count"]), entry) for entry in metadata["include"]]
    except (KeyError, TypeError, ValueError):
        raise HermesError(f"{where}: include must list objects with class and count, as GenEval's does") from None
    names = Counter(name for name, _, _ in entries)
    questions: list[Question] = []
    for name, count, entry in entries:
        questions.append(_yes_no(f"{_is_there(name)} in the image?", True, "object", name))
        alone = names[name] == 1
        if alone and metadata.get("tag") == "counting":
            questions += _counting(name, count, rng)
        if alone and count == 1 and entry.get("color"):
            questions += _coloring(name, str(entry["color"]), rng)
        if alone and count == 1 and entry.get("position"):
            questions += _position(name, entry["position"], entries, names, where)
    return list(dict.fromkeys(questions + _naming([name for name, _, _ in entries], metadata, rng)))


def _counting(name: str, count: int, rng: random.Random) -> list[Question]:
    first = max(1, count - rng.randrange(4))
    choices = tuple(str(number) for number in range(first, first + 4))
    several = plural(name)
    asked = Question(
        question=f"How many {several} are in the image?",
        answer=str(count),
        kind="counting",
        choices=choices,
        element=_number(count),
    )
    claims = [
        _yes_no(f"Are there exactly {_number(claim)} {several} in the image?", claim == count, "counting", name)
        for claim in (count, count + 1)
        if claim > 1 and (claim < len(NUMBERS) or name not in SHAPES)
    ]
    return [asked, *claims]


def _coloring(name: str, color: str, rng: random.Random) -> list[Question]:
    others = rng.sample([other for other in COLORS if other != color], 3)
    verb = "are" if name in PAIRS else "is"
    return [
        Question(
            question=f"What color {verb} the {name}?",
            answer=color,
            kind="color",
            choices=tuple(rng.sample([color, *others], 4)),
            element=color,
        ),
        _yes_no(f"{verb.capitalize()} the {name} {color}?", True, "color", color),
        _yes_no(f"{verb.capitalize()} the {name} {others[0]}?", False, "color", color),
    ]


def _position(
    name: str, position: Any, entries: Sequence[tuple[str, int, Any]], names: Counter[str], where: str
) -> list[Question]:
    try:
        relation, (anchor, count, _) = position[0], entries[position[1]]
        opposite = OPPOSITE[relation]
    except (KeyError, TypeError, ValueError, IndexError):
        raise HermesError(f"{where}: position {position!r} is not [relation, index of an entry]; fix it") from None
    if names[anchor] > 1 or count > 1:
        return []
    verb = "Are" if name in PAIRS else "Is"
    ways = ("left", "right") if "of" in relation else ("above", "below")
    either = f"{ways[0]} or {ways[1]} of" if "of" in relation else f"{ways[0]} or {ways[1]}"
    return [
        _yes_no(f"{verb} the {name} {relation} the {anchor}?", True, "spatial", relation),
        _yes_no(f"{verb} the {name} {opposite} the {anchor}?", False, "spatial", relation),
        Question(
            question=f"{verb} the {name} {either} the {anchor}?",
            answer=relation.removesuffix(" of"),
            kind="spatial",
            choices=ways,
            element=relation,
        ),
    ]


def _naming(names: list[str], metadata: Mapping[str, Any], rng: random.Random) -> list[Question]:
    """What is in the image, for prompts that say nothing else of it."""
    if metadata.get("tag") not in ("single_object", "two_object"):
        return []
    if names[0] in SHAPES:
        return [_choice("What shape is the object?", names[0], SHAPES, names, rng)] if len(names) == 1 else []
    if len(names) == 1:
        return [_choice("What object is in the image?", names[0], CLASSES, names, rng)]
    return [
        _choice(f"What object is in the image besides the {known}?", asked, CLASSES, names, rng)
        for known, asked in (names[:2], names[1::-1])
        if known != asked
    ]


def _choice(question: str, answer: str, pool: Sequence[str], names: list[str], rng: random.Random) -> Question:
    wrong = rng.sample([other for other in pool if other not in names], 3)
    choices = tuple(rng.sample([answer, *wrong], 4))
    return Question(question=question, answer=answer, kind="object", choices=choices, element=answer)


def _yes_no(question: str, truth: bool, kind: str, element: str) -> Question:
    return Question(question=question, answer=YES_NO[not truth], kind=kind, choices=YES_NO, element=element)


def _is_there(name: str) -> str:
    return f"Are there {name}" if name in PAIRS else f"Is there {with_article(name)}"


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def plural(noun: str) -> str:
    """``benches``, ``people``: English, where GenEval's own prompts add an s to everything that does not end in one."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    return f"{noun}es" if noun.endswith(("sh", "ch")) else regular_plural(noun)
