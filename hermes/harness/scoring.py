"""Stored responses to scores to results; loads no model, and can run again at any time under another protocol."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hermes.evaluators.base import Answer, Evaluator
from hermes.harness.errors import ImageError, JudgeError
from hermes.harness.images import ImageHandle
from hermes.harness.judges.base import Judge
from hermes.harness.plan import Task
from hermes.harness.processes import current
from hermes.harness.progress import Progress, Silent
from hermes.harness.store import Journal, ResponseStore, write_json, write_jsonl
from hermes.harness.types import Judgement, Response, Result, Sample, Score

JUDGE_BATCH = 64
Key = tuple[str, int]


def judge_responses(
    task: Task,
    responses: Sequence[Response],
    store: ResponseStore,
    judge: Judge,
    progress: Progress | None = None,
    image: Callable[[Response], ImageHandle] | None = None,
) -> None:
    """Ask the judge about every image that it has not yet judged; appended batch by batch, shared by all processes.

    ``image`` gives the image of a response where the store does not hold it.
    """
    progress = progress or Silent()
    image = image or store.image
    processes = current()
    journal = Journal(store.journal.folder, "judgements", Judgement, processes.rank)
    samples = {sample.id: sample for sample in task.data.samples}
    done = {key for key, judgement in journal.read().items() if judgement.error is None}
    processes.wait()
    wanted = [item for item in responses if item.status == "ok" and (item.sample_id, item.index) not in done]
    mine = wanted[processes.rank :: processes.world]
    progress.start(f"judge {task.name}", len(mine))
    for begin in range(0, len(mine), JUDGE_BATCH):
        batch = mine[begin : begin + JUDGE_BATCH]
        answers = [Answer(samples[item.sample_id], item, image(item)) for item in batch]
        journal.append(_judgements(task.evaluator, answers, judge))
        progress.advance(len(batch))
    processes.wait()


def _judgements(evaluator: Evaluator, answers: Sequence[Answer], judge: Judge) -> list[Judgement]:
    """One batch; where the judge fails on it, each image is asked about alone, so that one bad one fails alone."""

    def judgement(answer: Answer, **content: Any) -> Judgement:
        item = answer.response
        return Judgement(sample_id=item.sample_id, index=item.index, judge=judge.identity, **content)

    try:
        spoken = evaluator.ask_judge(answers, judge)
    except (ImageError, JudgeError) as error:
        if len(answers) > 1:
            return [one for answer in answers for one in _judgements(evaluator, [answer], judge)]
        return [judgement(answers[0], error=str(error))]
    return [judgement(answer, data=data) for answer, data in zip(answers, spoken, strict=True)]


def score_task(
    task: Task, num_images: int, store: ResponseStore, protocol: str, judge_identity: str | None
) -> tuple[Result, list[Score]]:
    """Score what is stored for one task, write scores.jsonl and result.json beside it, and return both."""
    folder = store.journal.folder
    judgements = Journal(folder, "judgements", Judgement).read() if task.judge else {}
    result, ordered = score_answers(task, num_images, store.read(), judgements, protocol, judge_identity, store.image)
    if current().main:
        write_jsonl(folder / "scores.jsonl", ordered)
        write_json(folder / "result.json", result)
        samples = {sample.id: sample for sample in task.data.samples}
        if (submission := task.evaluator.submission(samples, _usable(ordered))) is not None:
            write_json(folder / "submission.json", submission)
    return result, ordered


def score_answers(
    task: Task,
    num_images: int,
    responses: Mapping[Key, Response],
    judgements: Mapping[Key, Judgement],
    protocol: str,
    judge_identity: str | None,
    image: Callable[[Response], ImageHandle] | None = None,
) -> tuple[Result, list[Score]]:
    """The result and the scores, in sample order, of responses and judgements by (sample id, index).

    A response that is missing or ended in an error is a score with status ``error``: counted, and in no mean. So is a
    judgement that lacks what the protocol looks at.
    """
    used = protocol if protocol in task.evaluator.protocols else task.evaluator.protocols[0]
    answers: list[Answer] = []
    errors: dict[Key, Score] = {}
    for sample in task.data.samples:
        for index in range(num_images):
            key = (sample.id, index)
            response, judgement = responses.get(key), judgements.get(key)
            if response is None or response.status == "error":
                errors[key] = _error(sample, index, (response.error or "error") if response else "no response")
            elif task.judge and (judgement is None or judgement.error is not None):
                errors[key] = _error(sample, index, (judgement.error or "error") if judgement else "no judgement")
            else:
                picture = image(response) if image and response.image else None
                answers.append(Answer(sample, response, picture, judgement.data if judgement else None))
    good = _scores(task.evaluator, answers, used)
    scored = {(score.sample_id, score.index): score for score in good} | errors
    ordered = [scored[sample.id, index] for sample in task.data.samples for index in range(num_images)]
    samples: Mapping[str, Sample] = {sample.id: sample for sample in task.data.samples}
    usable = _usable(ordered)
    counts = Counter(score.status for score in ordered)
    info, evaluator = task.data.info, task.evaluator
    shapes = info.world == "shapes"
    result = Result(
        evaluator=evaluator.name,
        version=evaluator.version,
        ability=evaluator.ability,
        protocol=used,
        judge=judge_identity,
        data=info,
        headline=evaluator.headline,
        unit=evaluator.unit,
        chance=evaluator.chance,
        best=evaluator.shapes_best if shapes and evaluator.shapes_best is not None else evaluator.best,
        metrics=evaluator.aggregate(samples, usable, used) if usable else {},
        n=len(usable),
        n_expected=info.n_expected * num_images,
        partial=len(usable) < info.n_expected * num_images,
        counts={status: counts.get(status, 0) for status in ("scored", "unparsed", "error")},
    )
    return result, ordered


def _scores(evaluator: Evaluator, answers: Sequence[Answer], protocol: str) -> list[Score]:
    """All scores; where a judgement cannot be scored each answer is scored alone, so that it fails alone."""
    try:
        return evaluator.score_all(answers, protocol)
    except JudgeError as error:
        if len(answers) == 1:
            return [_error(answers[0].sample, answers[0].response.index, str(error))]
        return [score for answer in answers for score in _scores(evaluator, [answer], protocol)]


def _usable(scores: Sequence[Score]) -> list[Score]:
    return [score for score in scores if score.status != "error"]


def _error(sample: Sample, index: int, reason: str) -> Score:
    return Score(sample_id=sample.id, index=index, group_id=sample.group_id, reason=reason, status="error")


def task_folder(run: Path, name: str) -> Path:
    """The folder of one task in a run; overrides stay readable in its name."""
    return run / name.replace("/", "_")
