"""Your own prompts: pictures are drawn for a file of them, which scores of pictures then look at.

Task ``prompts``: --data is a .txt file, a prompt a line, a JSON list of prompts, or rows with a column ``prompt`` or
``Prompt`` and, where there are some, ``id`` and ``category``. Nothing is scored here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.fields import text
from hermes.harness.data.files import file_rows
from hermes.harness.data.json_stream import json_values
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

PROMPT, CATEGORY = "prompt", "category"
NAMES = {"Prompt": PROMPT, "Category": CATEGORY}
"""What PartiPrompts calls its columns."""


class Prompts(Evaluator):
    """Draws; no metrics."""

    name = "prompts"
    version = "1"
    title = "your own prompts"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=(PROMPT,))
    config = GenerationConfig(num_images=1)
    headline = "none"
    unit = "0..1"
    chance = 0.0
    best = 0.0
    standard = False

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return _rows(source)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for number, row in enumerate(rows, 1):
            name = str(row.get("id") or number)
            category = row.get(CATEGORY)
            yield Sample(
                id=name,
                group_id=name,
                ability=self.ability,
                prompt=text(row, PROMPT, f"{self.name} row {number}"),
                metadata={CATEGORY: str(category)} if category else {},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        return Score(sample_id=sample.id, index=answer.response.index, group_id=sample.group_id)

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {}


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise HermesError(f"{path} is no file; give a .txt file with a prompt a line, or a file of rows with {PROMPT}")
    if path.suffix.lower() == ".txt":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        yield from ({PROMPT: line.strip()} for line in lines if line.strip())
    elif path.suffix.lower() == ".json" and isinstance(next(json_values(path), None), str):
        yield from ({PROMPT: prompt} for prompt in json_values(path))
    else:
        yield from ({NAMES.get(name, name): value for name, value in row.items()} for row in file_rows(path))
