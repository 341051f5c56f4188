"""The means that a headline is made of give the headline itself, with its interval, from scores without samples."""

import pytest
from test_one_pass import BENCHMARKS, pairs

from hermes.harness.contracts.benchmark import Evaluator, Scored
from hermes.harness.records.types import Metric, Score
from hermes.harness.system import registry

SAMPLES = {"understanding": 600, "generation": 60}
PLACES = [(name, protocol) for name in BENCHMARKS for protocol in registry.evaluator(name).protocols]


def bare(found: list[Scored]) -> list[Score]:
    """The scores as a leaderboard has them: what was read of an answer is not looked at."""
    return [score.model_copy(update={"prediction": None, "reason": ""}) for _, score in found]


def numbers(metric: Metric) -> tuple[float, ...]:
    assert metric.low is not None
    assert metric.high is not None
    return metric.value, metric.low, metric.high, metric.n, metric.groups


@pytest.mark.parametrize(("name", "protocol"), PLACES)
def test_they_give_the_headline(name: str, protocol: str) -> None:
    evaluator: Evaluator = registry.evaluator(name)
    found = pairs(evaluator, protocol, SAMPLES[evaluator.ability])
    means = evaluator.headline_means(bare(found), protocol)
    if name in ("vqav2-testdev", "self-rejection"):
        assert means is None
        return
    assert means is not None
    headline = evaluator.aggregate(found, protocol)[evaluator.headline]
    assert means.metric().value == pytest.approx(headline.value, rel=1e-9)
    # POPE's own interval comes from leaving out images, which differs a little where samplings share them unevenly.
    close = 0.01 if name.startswith("pope") and protocol != "lmms-eval" else 1e-9
    assert numbers(means.metric()) == pytest.approx(numbers(headline), rel=close)


def test_other_tools_headlines_are_no_sums_of_means_that_hermes_knows() -> None:
    assert registry.load_class("evaluators", "lmms", to_use=False).headline_means([], "official") is None
