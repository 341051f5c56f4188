"""Stored answers to judgements: what a judge has said is not asked again, another judge's words lie beside it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from hermes.harness.system.sharing import Sharing, chunks

JUDGE_BATCH, LOOK_UP = 64, 512
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
    lost = 0

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

    def unjudged() -> Iterator[tuple[str, Judged]]:
        for chunk in chunks(responses, LOOK_UP):
            good = [item for item in chunk if item[2].status == "ok"]
            keys = [judgement_key(response.key, response.content_mark, whole) for _, whole, response in good]
            known = index.answered(keys)
            progress.skip(len(chunk) - len(good) + int(known.sum()))
            yield from (pair for pair, there in zip(zip(keys, good, strict=True), known, strict=True) if not there)

    work = Sharing(unjudged(), JUDGE_BATCH, label)
    for part in work:
        mine: list[Asked] = []
        for key, (sample, _, response) in part:
            if image is None and response.image is not None and not store.verified(response):
                lost += 1
                continue
            picture = None if response.image is None else (image or store.image)(response)
            mine.append((key, Answer(sample, response, picture)))
        if mine:
            journal.append(attempts.results(mine))
            attempts.refuse_more()
        progress.advance(work.did(len(part)))
    progress.advance(work.did(0))
    return processes.total(lost)


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    """The data. Raises JudgeError for a number in it that no file could hold."""
    try:
        json.dumps(data, allow_nan=False)
    except ValueError:
        raise JudgeError("the judge gave a number that is not finite; check its weights") from None
    return data
