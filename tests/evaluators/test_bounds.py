"""Every metric's interval stays within what is possible and is no point, also where all answers are right or wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from asked import aggregated, twin_rows

from hermes.evaluators.flickr30k import Flickr30k
from hermes.evaluators.gqa import GQA
from hermes.evaluators.mme import MME
from hermes.evaluators.mmmu import MMMU
from hermes.evaluators.pope import POPE
from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.contracts.published import MME_COGNITION, MME_PERCEPTION
from hermes.harness.records.types import Metric, Response

ITEMS = 120
MOST = {"mme": 200.0, "perception": 200.0 * len(MME_PERCEPTION), "cognition": 200.0 * len(MME_COGNITION)}
Row = dict[str, Any]


def right(benchmark: Any, row: Row) -> str:
    if benchmark is VQAv2:
        return str(row["multiple_choice_answer"])
    return str(row["caption"][0] if benchmark is Flickr30k else row["answer"])


def metrics(benchmark: Any, reply: Callable[[int, Row], str]) -> dict[str, Metric]:
    evaluator, rows = benchmark(), twin_rows(benchmark)[:ITEMS]
    samples = list(evaluator.samples(rows))
    answers = [
        Answer(sample, Response(sample_id=sample.id, index=0, seed=0, prompt_sha256="", text=reply(number, row)))
        for number, (sample, row) in enumerate(zip(samples, rows, strict=True))
    ]
    scores = list(evaluator.scores(iter(answers), "official"))
    return aggregated(evaluator, zip(samples, scores, strict=True))


@pytest.mark.parametrize("share", [0, 1, 2, 3], ids=["none right", "half right", "two of three", "all right"])
@pytest.mark.parametrize("benchmark", [POPE, MME, VQAv2, GQA, MMMU, Flickr30k], ids=lambda one: one.name)
def test_intervals_stay_within_what_is_possible(benchmark: Any, share: int) -> None:
    def reply(number: int, row: Row) -> str:
        good = {0: False, 1: number % 2 == 0, 2: number % 3 != 0, 3: True}[share]
        return right(benchmark, row) if good else "nonsense"

    found = {name: one for name, one in metrics(benchmark, reply).items() if one.low is not None}
    assert benchmark.headline in found
    for name, one in found.items():
        most = MOST.get(name, MOST.get(benchmark.name, 1000.0 if name == "cider" else 100.0))
        assert one.low is not None
        assert one.high is not None
        assert 0 <= one.low < one.high <= most * (1 + 1e-12), name
        assert one.low <= one.value + 1e-9, name
        assert one.value <= one.high + 1e-9, name
