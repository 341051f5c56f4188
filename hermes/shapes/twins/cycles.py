"""The twins of the cycles: sixty homologous items, and GenEval's prompts for the cycle that asks for them."""

from functools import partial
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.records.types import Split
from hermes.shapes.twins import geneval, homologous

ITEMS, PROMPTS = 60, 48
JUDGES = {"drift-image": "similarity:facts", "drift-text": "similarity:facts", "unified-bench": "similarity:facts"}


def twin(name: str) -> Twin:
    """The twin of a cycle; similarity is that of facts, and the oracle judges all else."""
    if name == "mgg":
        return Twin(partial(_prompts, name), PROMPTS, judge="oracle")
    return Twin(rows, ITEMS, judge=JUDGES.get(name, "oracle"))


def rows(split: Split, seed: int) -> list[Row]:
    """The first homologous items, with the words in which a caption is asked for."""
    return [{**row, "instruction": ONE_SENTENCE} for row in islice(homologous.rows(split, seed), ITEMS)]


def _prompts(name: str, split: Split, seed: int) -> list[Row]:
    return list(islice(geneval.rows(name, split, seed), PROMPTS))
