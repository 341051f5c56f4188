"""Stored pictures to judgements: what a judge has said is not asked again, another judge's words lie beside it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from hermes.harness.contracts.benchmark import Answer, Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import judgement_key
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Response, Sample
from hermes.harness.system.errors import ImageError, JudgeError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent

JUDGE_BATCH = 64
Judged = tuple[Sample, bytes, Response]
"""A sample, the digest of all that is in it, and a response to it."""


def judge_responses(
    evaluator: Evaluator,
    responses: Iterable[Judged],
    total: int,
    store: Store,
    judge: Judge,
    progress: Progress | None = None,
    label: str = "judge",
    image: Callable[[Response], ImageHandle] | None = None,
) -> int:
    """Ask the judge about every picture that it has not judged yet; batch by batch, shared by all processes.

    Returns how many pictures are not what was drawn: their files are removed, so that they are drawn again. ``image``
    gives the picture of a response where the store does not hold it; such a picture is not checked.
    """
    progress, processes = progress or Silent(), current()
    journal = store.judgements(judge.identity)
    index = journal.index()
    processes.wait()
    if processes.main and (damage := index.complaint()):
        progress.say(damage)
    progress.start(label, total)
    lost, pending = 0, 0
    mine: list[tuple[str, Answer]] = []

    def flush() -> None:
        journal.append(_judgements(evaluator, mine, judge))
        progress.advance(len(mine) * processes.world)
        mine.clear()

    stream = iter(responses)
    while chunk := list(islice(stream, 512)):
        good = [item for item in chunk if item[2].status == "ok"]
        keys = [judgement_key(response.key, response.image, whole) for _, whole, response in good]
        known = index.answered(keys)
        progress.advance(len(chunk) - len(good) + int(known.sum()))
        for key, (sample, _, response), there in zip(keys, good, known, strict=True):
            if there:
                continue
            pending += 1
            if (pending - 1) % processes.world != processes.rank:
                continue
            if image is None and not store.verified(response):
                lost += 1
                continue
            mine.append((key, Answer(sample, response, (image or store.image)(response))))
            if len(mine) == JUDGE_BATCH:
                flush()
    if mine:
        flush()
    processes.wait()
    return processes.total(lost)


def _judgements(evaluator: Evaluator, asked: Sequence[tuple[str, Answer]], judge: Judge) -> Iterator[Judgement]:
    """One batch; where the judge fails on it, each image is asked about alone, so that one bad one fails alone."""

    def judgement(key: str, answer: Answer, **content: Any) -> Judgement:
        item = answer.response
        return Judgement(key=key, sample_id=item.sample_id, index=item.index, judge=judge.identity, **content)

    try:
        spoken = evaluator.ask_judge([answer for _, answer in asked], judge)
    except (ImageError, JudgeError) as error:
        if len(asked) == 1:
            yield judgement(*asked[0], error=str(error))
        else:
            for one in asked:
                yield from _judgements(evaluator, [one], judge)
        return
    for (key, answer), data in zip(asked, spoken, strict=True):
        yield judgement(key, answer, data=data)
