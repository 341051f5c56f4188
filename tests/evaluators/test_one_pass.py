"""Benchmarks read streams: scores come one by one, are gone through once, and leave a few dozen bytes each."""

import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from weakref import ref

import pytest
from asked import twin_rows
from judged import BLANK, response

from hermes.harness.contracts.benchmark import Answer, Evaluator, Scored
from hermes.harness.judges.encoders import SimilarityJudge
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Response, Score
from hermes.harness.system import registry
from hermes.shapes.oracle import OracleJudge

# Rows are whatever the user names; the oracle judges no prompts; rows, verdicts and prompts are the user's.
NO_TWIN = (
    *("lmms", "file", "non-unification", "geneval2", "wise", "wise-verified", "gapeval", "prompts"),
    *("clipscore", "pickscore", "hpsv2", "aesthetic", "fid"),
)
# All that have a twin; tifa with a similarity that needs no encoder, cycles of as many generations as there are images.
SAID = {"tifa": "tifa:facts"} | {
    name: f"{name}:3" for name in ("cycle-image", "cycle-text", "drift-image", "drift-text", "mgg")
}
BENCHMARKS = [SAID.get(name, name) for name in registry.names("evaluators") if name not in NO_TWIN]
OF_A_CORPUS = ("flickr30k", "flickr30k-1k")
REPLIES = ("yes", "no", "Yes.", "red", "B", "two", "", "a red circle")
SAMPLES, IMAGES = 40, 3
ALIVE = 8
SCORES = 50_000
# Questions about an image, and the most bytes that a score may take while the metrics are made.
BUDGETS = {
    **{"pope": (18, 120), "mme": (2, 150), "vqav2": (5, 90), "gqa": (2, 190), "mmmu": (1, 280)},
    **{"homologous-u": (6, 75), "geneval": (4, 95)},
}


def answers(evaluator: Evaluator, count: int = SAMPLES) -> list[Answer]:
    """Some answers to the first samples of the twin; several images of each prompt, judged by the oracle."""
    samples = list(islice(evaluator.samples(twin_rows(evaluator)), count))
    if evaluator.ability == "understanding":
        replies = zip(samples, cycle(REPLIES), strict=False)
        return [
            Answer(sample, Response(sample_id=sample.id, index=0, seed=0, prompt_sha256="", text=reply))
            for sample, reply in replies
        ]
    asked = [
        Answer(sample, response(sample.id, index), ImageHandle(BLANK)) for sample in samples for index in range(IMAGES)
    ]
    judge = SimilarityJudge.load("facts", "cpu") if evaluator.judge_needs == "liken" else OracleJudge.load()
    spoken = evaluator.ask_judge(asked, judge)
    return [
        Answer(answer.sample, answer.response, answer.image, said) for answer, said in zip(asked, spoken, strict=True)
    ]


def pairs(evaluator: Evaluator, protocol: str, count: int = SAMPLES) -> list[Scored]:
    asked = answers(evaluator, count)
    scores = evaluator.scores(iter(asked), protocol)
    return [(answer.sample, score) for answer, score in zip(asked, scores, strict=True)]


class Stream:
    """Scores, each made when it is asked for, to be gone through once; ``most`` were alive at the same time."""

    def __init__(self, found: Sequence[Scored]) -> None:
        self.most = 0
        self._found = iter(found)

    def __iter__(self) -> Iterator[Scored]:
        alive: list[ref[Score]] = []
        for sample, score in self._found:
            fresh = score.model_copy()
            alive = [*(one for one in alive if one() is not None), ref(fresh)]
            self.most = max(self.most, len(alive))
            yield sample, fresh


@pytest.mark.parametrize("name", BENCHMARKS)
def test_metrics_come_from_one_pass_that_keeps_no_scores(name: str) -> None:
    evaluator: Evaluator = registry.evaluator(name)
    for protocol in evaluator.protocols:
        found = pairs(evaluator, protocol)
        stream = Stream(found)
        once = evaluator.aggregate(stream, protocol)
        assert stream.most <= ALIVE
        assert once == evaluator.aggregate(found, protocol)
        assert bool(once) == (name != "vqav2-testdev")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_scores_come_one_by_one(name: str) -> None:
    evaluator: Evaluator = registry.evaluator(name)
    asked = answers(evaluator)
    rest = iter(asked)
    scores = evaluator.scores(rest, evaluator.protocols[0])
    assert isinstance(next(scores), Score)
    assert len(list(rest)) == (0 if name in OF_A_CORPUS else len(asked) - 1)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_scores_give_no_number(name: str) -> None:
    evaluator: Evaluator = registry.evaluator(name)
    for protocol in evaluator.protocols:
        assert [metric.n for metric in evaluator.aggregate(iter(()), protocol).values() if metric.n] == []


def many(found: Sequence[Scored], each: int) -> Iterator[Scored]:
    """Scores as read from a file, none of which shares its texts with another; ``each`` about an image."""
    for number, (sample, score) in enumerate(islice(cycle(found), SCORES)):
        tags = {key: "".join(list(text)) for key, text in score.tags.items()}
        yield sample, score.model_copy(update={"group_id": f"image_{number // each:012d}", "tags": tags})


@pytest.mark.parametrize("name", BUDGETS)
def test_a_score_takes_a_few_dozen_bytes(name: str) -> None:
    each, budget = BUDGETS[name]
    evaluator: Evaluator = registry.evaluator(name)
    found = pairs(evaluator, evaluator.protocols[0])
    tracemalloc.start()
    try:
        metrics = evaluator.aggregate(many(found, each), evaluator.protocols[0])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert metrics[evaluator.headline].n > 0
    assert peak / SCORES < budget
