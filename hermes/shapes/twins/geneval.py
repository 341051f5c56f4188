"""The twin of GenEval: sixteen prompts a task, the tasks in turn."""

import random
from functools import partial

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.prompts import TAGS, geneval_prompt

PROMPTS_A_TASK = 16


def twin(name: str) -> Twin:
    """The twin of GenEval; the oracle detects the five shapes."""
    return Twin(partial(rows, name), len(TAGS) * PROMPTS_A_TASK, judge="oracle")


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """A prompt repeats only in a task that has fewer different ones."""
    columns = [_prompts(name, tag, split, seed) for tag in TAGS]
    return [row for turn in zip(*columns, strict=True) for row in turn]


def _prompts(name: str, tag: str, split: Split, seed: int) -> list[Row]:
    rng = random.Random(derive_seed(seed, split, name, tag))
    drawn = [geneval_prompt(tag, rng, split) for _ in range(50 * PROMPTS_A_TASK)]
    different = list({row["prompt"]: row for row in drawn}.values())
    return [different[k % len(different)] for k in range(PROMPTS_A_TASK)]
