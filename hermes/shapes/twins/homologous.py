"""The twin of the homologous items: 400 scenes with six questions each, the same ones for both sides.

Self-play also has items whose caption is a prompt of GenEval's kind, with the questions that such a prompt settles.
"""

import random
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes import questions
from hermes.shapes.captions import full
from hermes.shapes.draw import draw
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.scene import Scene, scenes, split_of
from hermes.shapes.words import Phrase

NAME = "homologous"
ITEMS = 400
QUESTIONS = 6


def twin(name: str) -> Twin:
    """The twin of a side: understanding has a sample a question, generation one an item.

    Self-rejection looks at what generation draws; its judge is the model itself.
    """
    if name == f"{NAME}-u":
        return Twin(rows, ITEMS * QUESTIONS)
    return Twin(rows, ITEMS, judge="oracle" if name == f"{NAME}-g" else None)


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


@lru_cache(maxsize=4)
def open_rows(split: Split, seed: int) -> tuple[Row, ...]:
    """As ``rows``, with prompts of GenEval's six tasks in turn and scenes that meet them; ``told`` is all they show."""
    found: list[Row] = []
    for number in range(ITEMS):
        rng = random.Random(derive_seed(seed, split, "open", number))
        metadata, scene = _photographed(TAGS[number % len(TAGS)], rng, split)
        asked = [{"question": qa.question, "answer": qa.answer, "kind": qa.kind} for qa in settled(metadata)]
        row = {"id": f"open-{number:04d}", "image": draw(scene), "caption": metadata["prompt"], "questions": asked}
        found.append(row | {"told": full(scene, rng)})
    return tuple(found)


def _photographed(tag: str, rng: random.Random, split: Split) -> tuple[dict[str, Any], Scene]:
    while True:
        metadata = geneval_prompt(tag, rng, split)
        scene = geneval_scene(metadata, rng)
        if split_of(scene.key) == split:
            return metadata, scene


def settled(metadata: Mapping[str, Any]) -> list[questions.QA]:
    """The questions that a prompt of GenEval's kind settles: what is there, how often, in which colour, and where."""
    include, found = metadata["include"], []
    for entry in include:
        named = Phrase(color=entry.get("color"), shape=entry["class"])
        found.append(questions.QA(questions.is_there(named), "yes", "exists"))
        shape = Phrase(shape=entry["class"])
        found.append(questions.QA(f"How many {shape.plural} are in the image?", str(entry["count"]), "count"))
        if named.color:
            found.append(questions.QA(f"What color is the {shape}?", named.color, "color"))
        if "position" in entry:
            relation, anchor = entry["position"]
            question = f"Is the {shape} {relation} the {include[anchor]['class']}?"
            found.append(questions.QA(question, "yes", "relation"))
    return found
