"""Helpers of the evaluator tests: score replies to rows under a protocol, and read the reference scorers' results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.base import Answer, Evaluator, Row
from hermes.harness.types import Response, Score

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "scorers"
PICTURE = Image.new("RGB", (8, 8))


def golden(name: str) -> dict[str, Any]:
    """The inputs and outputs of the reference scorers; the test is skipped where they are absent."""
    path = GOLDEN / f"{name}.json"
    if not path.exists():
        pytest.skip("the reference scorers' results are not here")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def scored(
    evaluator: Evaluator, rows: Iterable[Row], replies: Sequence[str], protocol: str
) -> tuple[list[Score], dict[str, float]]:
    """The scores of the replies to the rows, and the metrics' values."""
    samples = list(evaluator.samples(rows))
    answers = [
        Answer(sample, Response(sample_id=sample.id, index=0, seed=0, prompt_sha256="", text=reply))
        for sample, reply in zip(samples, replies, strict=True)
    ]
    scores = evaluator.score_all(answers, protocol)
    metrics = evaluator.aggregate({sample.id: sample for sample in samples}, scores, protocol)
    return scores, {name: metric.value for name, metric in metrics.items()}


def assert_fit_twin(evaluator: Evaluator) -> list[Row]:
    """The twin has its columns and size, readable pictures, different ids, and is the same for the same seed."""
    rows = evaluator.shapes_rows("test", 0)
    assert len(rows) == evaluator.data.shapes_n
    assert all(set(evaluator.data.columns) <= set(row) for row in rows)
    samples = list(evaluator.samples(rows))
    assert len({sample.id for sample in samples}) == len(rows)
    assert all(sample.images[0].open().size == (48, 48) for sample in samples[:20])
    key = [(sample.id, sample.prompt, sample.target, sample.images[0].open().tobytes()) for sample in samples[:60]]
    for seed, split, same in ((0, "test", True), (1, "test", False), (0, "validation", False)):
        others = list(evaluator.samples(evaluator.shapes_rows(split, seed)))[:60]  # type: ignore[arg-type]
        assert (key == [(s.id, s.prompt, s.target, s.images[0].open().tobytes()) for s in others]) is same
    return rows
