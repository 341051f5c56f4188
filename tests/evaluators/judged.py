"""Helpers of the generation evaluators' tests: score images, or finished judgements, under a protocol."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from asked import aggregated, the_twin, twin_rows
from PIL import Image

from hermes.harness.contracts.benchmark import Answer, Evaluator, Row
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Response, Sample, Score
from hermes.shapes.oracle import OracleJudge

BLANK = Image.new("RGB", (48, 48), (158, 162, 166))


def score_judgements(
    evaluator: Evaluator,
    rows: Iterable[Row],
    judgements: Mapping[str, Sequence[Mapping[str, Any]]],
    protocol: str = "official",
) -> tuple[list[Score], dict[str, float]]:
    """Scores and metric values from the judgements of each sample's images."""
    samples = {sample.id: sample for sample in evaluator.samples(rows)}
    answers = [
        Answer(samples[name], response(name, index), None, judgement)
        for name, found in judgements.items()
        for index, judgement in enumerate(found)
    ]
    scores = list(evaluator.scores(iter(answers), protocol))
    metrics = aggregated(evaluator, ((samples[score.sample_id], score) for score in scores), protocol)
    return scores, {name: metric.value for name, metric in metrics.items()}


def score_images(
    evaluator: Evaluator, rows: Sequence[Row], draw: Callable[[Sample], Image.Image], protocol: str = "official"
) -> tuple[list[Score], dict[str, float]]:
    """Scores and metric values of one drawn image for each sample, judged by the oracle."""
    samples = list(evaluator.samples(rows))
    answers = [Answer(sample, response(sample.id, 0), ImageHandle(draw(sample))) for sample in samples]
    spoken = evaluator.ask_judge(answers, OracleJudge.load())
    return score_judgements(evaluator, rows, {s.id: [said] for s, said in zip(samples, spoken, strict=True)}, protocol)


def response(name: str, index: int) -> Response:
    return Response(sample_id=name, index=index, seed=0, prompt_sha256="", image="")


def assert_fit_generation_twin(evaluator: Evaluator) -> list[Row]:
    """The twin has its columns and size, different ids, and is the same for the same seed and split only."""
    rows = twin_rows(evaluator)
    assert all(set(evaluator.data.columns) <= set(row) for row in rows)
    samples = list(evaluator.samples(rows))
    assert len({sample.id for sample in samples}) == len(samples) == the_twin(evaluator).n
    key = [(sample.id, sample.group_id, sample.prompt, sample.target) for sample in samples]
    for seed, split, same in ((0, "test", True), (1, "test", False), (0, "validation", False)):
        others = list(evaluator.samples(twin_rows(evaluator, split, seed)))  # type: ignore[arg-type]
        assert (key == [(s.id, s.group_id, s.prompt, s.target) for s in others]) is same
    return rows
