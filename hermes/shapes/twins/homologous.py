"""The twin of the homologous items: 400 scenes with six questions each, the same ones for both sides."""

import random
from functools import lru_cache
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes import questions
from hermes.shapes.captions import full
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

NAME = "homologous"
ITEMS = 400
QUESTIONS = 6


def twin(name: str) -> Twin:
    """The twin of a side: understanding has a sample a question, generation one an item."""
    if name == f"{NAME}-g":
        return Twin(rows, ITEMS, judge="oracle")
    return Twin(rows, ITEMS * QUESTIONS)


@lru_cache(maxsize=4)
def rows(split: Split, seed: int) -> tuple[Row, ...]:
    """One row an item."""
    found: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, NAME), ITEMS)):
        rng = random.Random(derive_seed(seed, split, NAME, number))
        caption = full(scene, rng)
        asked = [
            {"question": qa.question, "answer": qa.answer, "kind": qa.kind}
            for qa in questions.homologous(scene, rng, QUESTIONS)
        ]
        found.append({"id": f"{number:04d}", "image": draw(scene), "caption": caption, "questions": asked})
    return tuple(found)
