"""The twin of MME: 20 images a task, each asked one question of the task's kind to affirm and one to deny."""

from collections.abc import Iterator, Sequence
from functools import partial

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.contracts.published import MME_SUFFIX, MME_TASKS
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.twins.asked import Wish, asked_scenes

# The kind of question of each task: of perception, then of cognition.
KINDS = (
    *("exists", "exactly", "relation", "is_color", "logical", "is_at", "empty", "total", "is_size", "is_shape"),
    *("more", "sum", "french", "code"),
)
IMAGES = 20


def twin(name: str) -> Twin:
    """The twin of MME."""
    return Twin(partial(rows, name), len(MME_TASKS) * IMAGES * 2)


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """The tasks in turn, image by image.

    Some kinds are the task itself in small (existence, count, position, color, the sum, the French word, the line of
    code); the others put what the shapes world has in its place: which things a picture combines, which one is where,
    how full it is, how large a thing is, what figure it is.
    """
    plan: Iterator[Sequence[Wish]] = (((kind, "yes"), (kind, "no")) for kind in KINDS * IMAGES)
    found: list[Row] = []
    items = zip(MME_TASKS * IMAGES, asked_scenes(split, seed, name, plan), strict=True)
    for number, (task, (scene, asked, rng)) in enumerate(items):
        picture = draw(scene)
        for qa in rng.sample(asked, len(asked)):
            found.append(
                {
                    "question_id": f"{number // len(MME_TASKS):04d}.png",
                    "image": picture,
                    "question": qa.question + MME_SUFFIX,
                    "answer": qa.answer.capitalize(),
                    "category": task,
                }
            )
    return found
