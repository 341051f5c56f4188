"""How the small models change a picture: they read it place by place, change the words, and draw from those.

What they read, every object with its size, colour, shape and place, is what they would write as a plan. The instruction
is carried out on these words by rule (`shapes.changes`), which no model does here; seeing and drawing are the model's.
"""

import re
from collections.abc import Callable, Sequence

from hermes.harness.models.pictures import only_image
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Request
from hermes.harness.system.errors import AskError
from hermes.shapes.captions import told
from hermes.shapes.changes import Change, read_change
from hermes.shapes.scene import COLORS, SHAPES, SIZES
from hermes.shapes.words import PLACE_PHRASES, PLACES, Phrase

NAME = re.compile(rf"({'|'.join(COLORS)}) ({'|'.join(SHAPES)})")
Ask = Callable[[Sequence[tuple[ImageHandle, str]]], list[str]]
"""Answers to questions about pictures, in order."""


def changed_plans(requests: Sequence[Request], ask: Ask, name: str) -> list[str]:
    """The plan of each request's picture after the change that its prompt tells.

    Raises AskError for a prompt that tells none of the drawn world's.
    """
    changes = [_change(request, name) for request in requests]
    seen = _seen([only_image(request, name) for request in requests], ask)
    return [told(change.of(phrases)) for change, phrases in zip(changes, seen, strict=True)]


def _change(request: Request, name: str) -> Change:
    change = read_change(request.prompt)
    if change is None:
        raise AskError(
            f"{name} changes one object, as in 'make the red circle blue' or 'remove the red circle'; "
            f"it cannot read {request.prompt[:60]!r}"
        )
    return change


def _seen(pictures: Sequence[ImageHandle], ask: Ask) -> list[list[Phrase]]:
    """What the model finds in each picture, in reading order; a place where it names no object is passed over."""
    cells = [(number, place) for number in range(len(pictures)) for place in PLACES]
    named: dict[tuple[int, str], str] = {}

    def replies(question: str, asked: Sequence[tuple[int, str]]) -> list[tuple[tuple[int, str], str]]:
        """``question`` about each cell; "{}" stands for its place, behind the object's name where that is known."""
        where = [f"{named.get(cell, '')} {PLACE_PHRASES[cell[1]]}".strip() for cell in asked]
        said = ask([(pictures[cell[0]], question.format(at)) for cell, at in zip(asked, where, strict=True)])
        return list(zip(asked, said, strict=True))

    full = [cell for cell, said in replies("Is it empty {}?", cells) if said != "yes"]
    named |= {cell: said for cell, said in replies("What is {}?", full) if NAME.fullmatch(said)}
    found: list[list[Phrase]] = [[] for _ in pictures]
    for (number, place), size in replies("What size is the {}?", list(named)):
        color, shape = named[number, place].split()
        found[number].append(Phrase(size if size in SIZES else None, color, shape, place))
    return found
