"""Stored answers to judgements: what a judge has said is not asked again, another judge's words lie beside it."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from hermes.harness.contracts.benchmark import Answer, Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import judgement_key
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Response, Sample
from hermes.harness.run.attempts import IN_A_ROW, Attempts
from hermes.harness.system.errors import JudgeError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent

JUDGE_BATCH = 64
Judged = tuple[Sample, bytes, Response]
"""A sample, the digest of all that is in it, and a response to it."""
Asked = tuple[str, Answer]
"""The key of a judgement, and the answer that is to be judged."""


def judge_responses(
    evaluator: Evaluator,
    responses: Iterable[Judged],
    total: int,
    store: Store,
    judge: Judge,
    progress: Progress | None = None,
    label: str = "judge",
    image: Callable[[Response], ImageHandle] | None = None,
    max_failures: int = IN_A_ROW,
) -> int:
    """Ask the judge about every picture, or text, that it has not judged yet; batch by batch, shared by all processes.

    Returns how many pictures are not what was drawn: their files are removed, so that they are drawn again. ``image``
    gives the picture of a response where the store does not hold it; such a picture is not checked. An answer on which
    the judge fails is stored with the reason and asked about again the next time; ``max_failures`` of them in a row
    raise HermesError, as does what is the machine's failure (`attempts`).
    """
    progress, processes = progress or Silent(), current()
    journal = store.judgements(judge.identity)
    index = journal.index()
    processes.wait()
    if processes.main and (damage := index.complaint()):
        progress.say(damage)
    progress.start(label, total)
    lost, pending = 0, 0
    mine: list[Asked] = []

    def judgements(asked: Sequence[Asked]) -> list[Judgement]:
        spoken = evaluator.ask_judge([answer for _, answer in asked], judge)
        return [judgement(one, data=_finite(data)) for one, data in zip(asked, spoken, strict=True)]

    def judgement(asked: Asked, **content: Any) -> Judgement:
        key, item = asked[0], asked[1].response
        return Judgement(key=key, sample_id=item.sample_id, index=item.index, judge=judge.identity, **content)

    attempts = Attempts(
        judgements,
        lambda asked, reason: judgement(asked, error=reason),
        label,
        "judgements",
        progress.say,
        max_failures,
    )

    def flush() -> None:
        journal.append(attempts.results(mine))
        attempts.refuse_more()
        progress.advance(len(mine) * processes.world)
        mine.clear()

    stream = iter(responses)
    while chunk := list(islice(stream, 512)):
        good = [item for item in chunk if item[2].status == "ok"]
        keys = [judgement_key(response.key, response.image or response.text, whole) for _, whole, response in good]
        known = index.answered(keys)
        progress.skip(len(chunk) - len(good) + int(known.sum()))
        for key, (sample, _, response), there in zip(keys, good, known, strict=True):
            if there:
                continue
            pending += 1
            if (pending - 1) % processes.world != processes.rank:
                continue
            if image is None and response.image is not None and not store.verified(response):
                lost += 1
                continue
            picture = None if response.image is None else (image or store.image)(response)
            mine.append((key, Answer(sample, response, picture)))
            if len(mine) == JUDGE_BATCH:
                flush()
    if mine:
        flush()
    processes.wait()
    return processes.total(lost)


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    """The data. Raises JudgeError for a number in it that no file could hold."""
    try:
        json.dumps(data, allow_nan=False)
    except ValueError:
        raise JudgeError("the judge gave a number that is not finite; check its weights") from None
    return data
