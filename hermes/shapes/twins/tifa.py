"""The twin of TIFA: sixty captions with six questions each."""

import random
from functools import partial
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes import questions
from hermes.shapes.captions import full
from hermes.shapes.scene import scenes

ITEMS = 60
QUESTIONS = 6


def twin(name: str) -> Twin:
    """The twin of TIFA."""
    return Twin(partial(rows, name), ITEMS, judge="oracle")


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """One row a question, with four options; those of a yes/no question are two."""
    found: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, name), ITEMS)):
        rng = random.Random(derive_seed(seed, split, name, number))
        caption = full(scene, rng)
        for qa in questions.homologous(scene, rng, QUESTIONS):
            yes_no = qa.kind in questions.YES_NO
            found.append(
                {
                    "id": f"shapes_{number:03d}",
                    "caption": caption,
                    "question": qa.question,
                    "choices": ["yes", "no"] if yes_no else list(questions.choices(qa, rng)),
                    "answer": qa.answer,
                    "element_type": qa.kind,
                }
            )
    return found
