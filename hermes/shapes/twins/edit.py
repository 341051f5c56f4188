"""The twin of editing: 120 pictures with one change each, of colour, shape or size, or of an object that goes."""

import random
from collections.abc import Iterator
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.changes import KINDS, change, questions
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

ITEMS = 120


def twin(name: str) -> Twin:
    """The twin of editing."""
    return Twin(rows, ITEMS, judge="oracle")


def rows(split: Split, seed: int) -> list[Row]:
    """One row a picture; the kinds of changes in turn."""
    return list(islice(_rows(split, seed), ITEMS))


def _rows(split: Split, seed: int) -> Iterator[Row]:
    made = 0
    for number, scene in enumerate(scenes(split, seed, "edit")):
        kind = KINDS[made % len(KINDS)]
        told = change(scene, random.Random(derive_seed(seed, split, "edit", number)), kind)
        if told:
            asked = [{"question": qa.question, "answer": qa.answer, "kind": qa.kind} for qa in questions(scene, told)]
            row = {"id": f"{made:03d}", "image": draw(scene), "instruction": str(told), "category": kind}
            yield row | {"questions": asked}
            made += 1
