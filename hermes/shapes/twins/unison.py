"""The twin of Unison's internal consistency: 120 scenes with four questions each, to which yes is the right answer."""

import random
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.captions import full
from hermes.shapes.draw import draw
from hermes.shapes.questions import ask
from hermes.shapes.scene import Scene, scenes

NAME = "unison"
ITEMS, QUESTIONS = 120, 4
KINDS = ("exists", "exactly", "relation", "is_color", "is_shape", "is_size", "is_at", "total")


def twin(name: str) -> Twin:
    """The twin of a side: understanding has a sample a question, generation one an item."""
    return Twin(rows, ITEMS, judge="oracle") if name == f"{NAME}-g" else Twin(rows, ITEMS * QUESTIONS)


def rows(split: Split, seed: int) -> list[Row]:
    """One row an item, asked in the words of the drawn world."""
    found: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, NAME), ITEMS)):
        rng = random.Random(derive_seed(seed, split, NAME, number))
        prompt, asked = full(scene, rng), _asked(scene, rng)
        found.append(
            {
                "id": str(number),
                "prompt": prompt,
                "image": draw(scene),
                "questions": {str(place): question for place, question in enumerate(asked, 1)},
                "instruction": SHORT_ANSWER,
            }
        )
    return found


def _asked(scene: Scene, rng: random.Random) -> list[str]:
    """Different questions that the scene answers with yes."""
    found: dict[str, None] = {}
    while len(found) < QUESTIONS:
        qa = ask(scene, rng, rng.choice(KINDS), "yes")
        if qa:
            found[qa.question] = None
    return list(found)
