"""Helpers of the evaluator tests: score replies to rows under a protocol, and read the reference scorers' results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.contracts.benchmark import Answer, Evaluator, Row, Scored, Twin
from hermes.harness.records.types import Metric, Response, Score, Split
from hermes.shapes.twins import twin_of

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
    pairs = list(zip(samples, evaluator.scores(iter(answers), protocol), strict=True))
    metrics = aggregated(evaluator, pairs, protocol)
    return [score for _, score in pairs], {name: metric.value for name, metric in metrics.items()}


def aggregated(evaluator: Evaluator, pairs: Iterable[Scored], protocol: str = "official") -> dict[str, Metric]:
    """The metrics of samples with their scores, errors left out; the evaluator can go through them once."""
    return evaluator.aggregate(((sample, score) for sample, score in pairs if score.status != "error"), protocol)


def twin_rows(evaluator: Any, split: Split = "test", seed: int = 0) -> list[Row]:
    """The rows of its twin in the drawn world."""
    return list(the_twin(evaluator).rows(split, seed))


def the_twin(evaluator: Any) -> Twin:
    """Its twin in the drawn world, which it must have."""
    twin = twin_of(evaluator)
    assert twin is not None
    return twin


def assert_fit_twin(evaluator: Evaluator) -> list[Row]:
    """The twin has its columns and size, readable pictures, different ids, and is the same for the same seed."""
    rows = twin_rows(evaluator)
    assert len(rows) == the_twin(evaluator).n
    assert all(set(evaluator.data.columns) <= set(row) for row in rows)
    samples = list(evaluator.samples(rows))
    assert len({sample.id for sample in samples}) == len(rows)
    assert all(sample.images[0].open().size == (48, 48) for sample in samples[:20])
    key = [(sample.id, sample.prompt, sample.target, sample.images[0].open().tobytes()) for sample in samples[:60]]
    for seed, split, same in ((0, "test", True), (1, "test", False), (0, "validation", False)):
        others = list(evaluator.samples(twin_rows(evaluator, split, seed)))[:60]  # type: ignore[arg-type]
        assert (key == [(s.id, s.prompt, s.target, s.images[0].open().tobytes()) for s in others]) is same
    return rows
