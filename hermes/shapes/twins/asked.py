"""Rows of the question-answering twins: for each item of a plan the next scene that can be asked all of it."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Literal

from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.questions import QA, ask
from hermes.shapes.scene import Scene, scenes

Wish = tuple[str, Literal["yes", "no"] | None]


def asked_scenes(
    split: Split, seed: int, purpose: str, plan: Iterable[Sequence[Wish]]
) -> Iterator[tuple[Scene, list[QA], random.Random]]:
    """A scene, its questions and a generator for further draws, for each item of the plan.

    An item lists (kind, wanted answer or None); scenes that do not allow all its questions are skipped.
    """
    stream = scenes(split, seed, purpose)
    rng = random.Random(derive_seed(seed, split, purpose, "questions"))
    for wishes in plan:
        for scene in stream:
            asked = [qa for kind, want in wishes if (qa := ask(scene, rng, kind, want))]
            if len(asked) == len(wishes):
                yield scene, asked, rng
                break


def in_turn(kinds: Sequence[str], images: int, each: int) -> list[list[Wish]]:
    """A plan of ``each`` questions an image that goes round the kinds."""
    turns = islice(cycle(kinds), images * each)
    wishes: list[Wish] = [(kind, None) for kind in turns]
    return [wishes[start : start + each] for start in range(0, len(wishes), each)]
