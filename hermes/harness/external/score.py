"""`hermes score --task`: answers from files to a result, without a model; in a run folder where one is needed."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness import registry
from hermes.harness.environment import describe
from hermes.harness.errors import HermesError
from hermes.harness.external.answers import read_answers
from hermes.harness.external.records import Records, records_of
from hermes.harness.external.rows import scored_rows
from hermes.harness.external.task import GIVEN, check_kinds, chosen_judge, chosen_protocol, data_source
from hermes.harness.gap import gaps
from hermes.harness.judges.base import Judge
from hermes.harness.plan import Task, run_id, run_spec
from hermes.harness.progress import Progress, Silent
from hermes.harness.runner import load_judges, open_run, results_content, write_reports
from hermes.harness.scoring import judge_responses, score_answers, score_task, task_folder
from hermes.harness.settings import EvalSettings
from hermes.harness.store import Journal, ResponseStore, locked, write_json, write_jsonl
from hermes.harness.types import Judgement, ModelInfo, Record, Result, Score

NAME = "answers"


class ScoreSettings(Record):
    """What `hermes score --task` is asked to do. None means: what fits the task.

    ``pic_num`` and ``resolution`` are those of the official DPG-Bench script: how many images a file holds (1, or 4 in
    a grid) and the side of one in pixels.
    """

    task: str
    responses: Path
    data: str | None = None
    protocol: str | None = None
    judge: str | None = None
    device: str = "auto"
    out: Path | None = None
    runs: Path = Path("runs")
    fresh: bool = False
    label: str | None = None
    pic_num: int | None = None
    resolution: int | None = None


def refuse_mixture(run: Path | None, options: Mapping[str, Any]) -> None:
    """Raise HermesError unless there is either a run folder or a task with responses, and nothing of the other."""
    given = [name.replace("_", "-") for name, value in options.items() if value is not None]
    if run is not None and given:
        raise HermesError(f"a run folder is scored with what it holds; leave out --{given[0]}, or leave out the folder")
    if run is None and options.get("task") is None:
        raise HermesError("nothing to score; give a run folder, or --task with --data and --responses")
    if run is None and options.get("responses") is None:
        raise HermesError("--task needs answers to score; give --responses FILE or FOLDER")


@dataclass(frozen=True)
class Scored:
    """The result, the scores in sample order, and what results.json holds, with "folder" (None where none is)."""

    result: Result
    scores: list[Score]
    content: dict[str, Any]

    def write_scores(self, path: Path) -> None:
        """One Score record a line, in sample order. Raises HermesError where the file cannot be written."""
        try:
            write_jsonl(path, self.scores)
        except OSError as error:
            raise HermesError(f"{path} cannot be written ({error.strerror}); give another --per-sample") from None


@dataclass(frozen=True)
class _Run:
    """All that is known before anything is judged or scored."""

    settings: EvalSettings
    task: Task
    num_images: int
    records: Records
    info: ModelInfo
    spec: dict[str, Any]
    judge: Judge | None
    identity: str | None


def score_files(settings: ScoreSettings, progress: Progress | None = None) -> Scored:
    """Score answers from files. Images are shown to the judge, and what it says is kept in the run folder.

    The folder is ``settings.out``, or runs/scored/<id> where a judge must speak; without either nothing is written.
    Raises HermesError for whatever does not fit together; a missing answer or a broken image is a counted error.
    """
    progress = progress or Silent()
    with _no_collection():
        run = _prepared(settings, progress)
    folder = settings.out or (settings.runs / "scored" / run_id(run.spec) if run.judge else None)
    if folder is not None:
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            open_run(folder, run.spec, settings.fresh)
            return _in_folder(run, folder, progress)
    records = run.records
    with _no_collection():
        result, scores = score_answers(
            run.task,
            run.num_images,
            records.responses,
            records.judgements,
            run.settings.protocol,
            run.identity,
            records.image,
        )
    return Scored(result, scores, _content(run, result) | {"folder": None})


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of records hold no cycles; looking for some takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _prepared(settings: ScoreSettings, progress: Progress) -> _Run:
    evaluator = registry.evaluator(settings.task)
    protocol = chosen_protocol(evaluator, settings.protocol)
    source = data_source(evaluator, settings.data, settings.responses)
    answers = read_answers(settings.responses, _pictures(settings, evaluator.config.num_images), settings.resolution)
    check_kinds(evaluator, answers)
    judge_name = chosen_judge(evaluator, answers, settings.judge, source == "shapes")
    rows = scored_rows(evaluator, source)
    records = records_of(evaluator, rows, answers, progress)
    task = Task(settings.task, evaluator, {"num_images": answers.num_images}, rows.data, judge_name)
    judge = load_judges([task], None, settings.device)[judge_name] if judge_name not in (None, GIVEN) else None
    identity = judge.identity if judge else judge_name
    answered = ModelInfo(name=NAME, fingerprint=records.fingerprint(), abilities=(evaluator.ability,))
    spec = run_spec([task], answered, {judge_name: identity} if judge_name and identity else {}, 0)
    info = answered.model_copy(update={"name": settings.label or NAME})
    known = EvalSettings(
        model=info.name,
        tasks=(settings.task,),
        data=str(Path(source).resolve()) if Path(source).exists() else source,
        judge=settings.judge,
        protocol=protocol,
        device=settings.device,
        label=settings.label,
        out=settings.out,
    )
    return _Run(known, task, answers.num_images, records, info, spec | {"answers": "files"}, judge, identity)


def _pictures(settings: ScoreSettings, num_images: int) -> int:
    """How many images a file of an image folder holds."""
    if settings.pic_num not in (None, 1, 4):
        raise HermesError(f"--pic-num must be 1 or 4 (a 2 x 2 grid), not {settings.pic_num}")
    if settings.resolution is not None and settings.resolution < 1:
        raise HermesError(f"--resolution must be a number of pixels, not {settings.resolution}")
    return settings.pic_num or (4 if num_images == 4 else 1)


def _in_folder(run: _Run, folder: Path, progress: Progress) -> Scored:
    store = ResponseStore(task_folder(folder, run.task.name), folder / "media")
    stored = store.read()
    store.append(response for key, response in run.records.responses.items() if key not in stored)
    if run.records.judgements:
        journal = Journal(store.journal.folder, "judgements", Judgement)
        judged = journal.read()
        journal.append(judgement for key, judgement in run.records.judgements.items() if key not in judged)
    if run.judge:
        responses = list(run.records.responses.values())
        judge_responses(run.task, responses, store, run.judge, progress, run.records.image)
    result, scores = score_task(run.task, run.num_images, store, run.settings.protocol, run.identity)
    content = _content(run, result)
    device = run.settings.device if run.judge else "cpu"
    write_json(folder / "environment.json", describe(device) | {"settings": run.settings.model_dump(mode="json")})
    write_json(folder / "results.json", content)
    write_reports(folder)
    return Scored(result, scores, content | {"folder": folder})


def _content(run: _Run, result: Result) -> dict[str, Any]:
    results = {run.task.name: result}
    return results_content(run.settings, run.spec, run.info, [run.task], results, gaps(results, {}))
