"""`hermes score --task`: answers from files to a result, without a model; in a run folder where one is needed."""

import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.options import FailureSettings, FolderSettings, Panel, PluginSettings
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.contracts.reasoning import read_tags
from hermes.harness.data.answers import read_answers
from hermes.harness.data.cuts import Cutting, read_grid
from hermes.harness.data.layouts import usual_grid
from hermes.harness.records.journal import Journal
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Judgement, ModelInfo, Response, Result, Score
from hermes.harness.run.gap import gaps
from hermes.harness.run.judging import judge_responses
from hermes.harness.run.loading import load_judges
from hermes.harness.run.outside.matching import matched
from hermes.harness.run.outside.records import Records, records_of
from hermes.harness.run.outside.rows import scored_rows
from hermes.harness.run.outside.task import GIVEN, check_kinds, chosen_judge, chosen_protocol, data_source
from hermes.harness.run.plan import Task, check_scope, keyed, run_id, run_spec, used_protocol
from hermes.harness.run.scoring import Entry, places, read_scores, score_task, summarise
from hermes.harness.run.settings import TAGS_HELP, EvalSettings
from hermes.harness.run.stores import asked_identity, open_store
from hermes.harness.run.view import RESULTS, note, open_run, results_content, write_places
from hermes.harness.system import registry
from hermes.harness.system.disk import locked, write_json, write_jsonl
from hermes.harness.system.environment import describe
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress, Silent

NAME = "answers"
CODE = "files"
MOST_CUT = 100  # Images in a file.


class ScoreSettings(PluginSettings, FailureSettings, FolderSettings):
    """What `hermes score --task` is asked to do."""

    panel: ClassVar = Panel.ANSWERS

    task: str = Field(description="The benchmark whose answers --responses holds.")
    responses: Path = Field(description="Answers made anywhere: responses.jsonl, or an official layout.")
    data: str | None = Field(
        None,
        description="The benchmark's rows: a file or a folder; images may be absent. Default: those that come with the "
        "benchmark or the answers.",
    )
    protocol: str | None = Field(
        None,
        description="How answers are scored: official, lmms-eval, llava, corrected, similarity. Default: the "
        "benchmark's first.",
    )
    reasoning_tags: str | None = Field(None, description=TAGS_HELP)
    judge: str | None = Field(
        None,
        description="Who judges images: mask2former, mplug, ...; `hermes list judges` shows all. Default: the "
        "benchmark's own, where it has one.",
    )
    pic_num: int | None = Field(
        None,
        description="Images in each file of an image folder. Default: as the files show, and --grid and --resolution "
        "say.",
    )
    grid: str | None = Field(
        None, description="How images lie in each file: columns x rows, such as 2x2 or 4x1. Default: as they show."
    )
    resolution: int | None = Field(
        None, description="Side of one image in pixels, cut from the top left. Default: files are divided evenly."
    )
    label: str | None = Field(None, description="Name of the row in leaderboards. Default: answers.")
    device: str = Field("auto", description="Where the judge runs: auto, cpu, cuda or cuda:N.")


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
    """The result, the scores in sample order, and what results.json holds, with "folder" (None where none is).

    ``cut`` says how files of images were cut, and is empty where there are none.
    """

    result: Result
    scores: list[Score]
    content: dict[str, Any]
    cut: str = ""

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
    config: GenerationConfig
    records: Records
    info: ModelInfo
    spec: dict[str, Any]
    judge: Judge | None
    identity: str | None
    cut: str


def score_files(settings: ScoreSettings, progress: Progress | None = None) -> Scored:
    """Score answers from files. Images are shown to the judge, and what it says is kept in the run folder.

    The folder is ``settings.out``, or runs/scored/<id> where a judge must speak; without either nothing is written.
    Raises HermesError for whatever does not fit together; a missing answer or a broken image is a counted error.
    """
    progress = progress or Silent()
    load_plugins(settings.plugin)
    with _no_collection():
        run = _prepared(settings, progress)
    folder = settings.out or (settings.runs / "scored" / run_id(run.spec) if run.judge else None)
    if folder is not None:
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            open_run(folder, run.spec, settings.fresh)
            return _in_folder(run, folder, progress)
    records, scores = run.records, list[Score]()
    with _no_collection():
        stream = (
            Entry(one.sample, one.number, records.responses.get(one.key), records.judgements.get(one.key))
            for one in keyed(run.task, run.config)
        )
        protocol = used_protocol(run.task.evaluator, run.settings.protocol)
        result = summarise(run.task, stream, run.config.num_images, protocol, run.identity, scores.append)
    return Scored(result, scores, _content(run, result) | {"folder": None}, run.cut)


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
    evaluator.tags = read_tags(settings.reasoning_tags)
    protocol = chosen_protocol(evaluator, settings.protocol)
    source = data_source(evaluator, settings.data, settings.responses)
    cutting = _cutting(settings, evaluator)
    rows = scored_rows(evaluator, source)
    answers = read_answers(settings.responses, rows.known, cutting, evaluator.ability)
    check_kinds(evaluator, answers)
    judge_name = chosen_judge(evaluator, answers, settings.judge, source == "shapes")
    task = Task(settings.task, evaluator, {"num_images": answers.num_images}, rows.data, judge_name)
    if judge_name not in (None, GIVEN):
        check_scope(task)
    config = evaluator.config.model_copy(update={"num_images": answers.num_images})
    records = records_of(task, config, matched(rows, answers), answers, progress)
    judge = load_judges([judge_name], None, settings.device)[judge_name] if judge_name not in (None, GIVEN) else None
    identity = judge.identity if judge else judge_name
    answered = ModelInfo(name=NAME, fingerprint=records.fingerprint(), abilities=(evaluator.ability,))
    judges = {judge_name: identity} if judge_name and identity else {}
    spec = run_spec([task], answered, CODE, judges, 0, protocol)
    info = answered.model_copy(update={"name": settings.label or NAME})
    known = EvalSettings(
        model=info.name,
        tasks=(settings.task,),
        data=str(Path(source).resolve()) if Path(source).exists() else source,
        judge=settings.judge,
        protocol=protocol,
        reasoning_tags=settings.reasoning_tags,
        device=settings.device,
        label=settings.label,
        max_failures=settings.max_failures,
        out=settings.out,
        plugin=settings.plugin,
    )
    return _Run(known, task, config, records, info, spec | {"answers": "files"}, judge, identity, answers.cut)


def _cutting(settings: ScoreSettings, evaluator: Evaluator) -> Cutting:
    """How files of images are to be cut. Raises HermesError for options that cannot be, or contradict each other."""
    count, side, grid = settings.pic_num, settings.resolution, read_grid(settings.grid) if settings.grid else None
    most = max(MOST_CUT, evaluator.config.num_images)
    if count is not None and not 1 <= count <= most:
        raise HermesError(f"--pic-num must be a number of images from 1 to {most}, not {count}")
    if side is not None and side < 1:
        raise HermesError(f"--resolution must be a number of pixels, not {side}")
    if grid and count not in (None, grid.count):
        raise HermesError(f"--grid {settings.grid} holds {grid.count} images, not the {count} of --pic-num; give one")
    return Cutting(evaluator.config.num_images, usual_grid(evaluator.data.columns), count, grid, side)


def _in_folder(run: _Run, folder: Path, progress: Progress) -> Scored:
    task = run.task
    asked = asked_identity(task.evaluator.asked_by.name, task.evaluator.asked_by.version, run.config)
    with open_store(folder, run.info, CODE, asked, progress.say) as store:
        return _in_store(run, store, folder, progress)


def _in_store(run: _Run, store: Store, folder: Path, progress: Progress) -> Scored:
    task, records = run.task, run.records
    _add(store.responses, records.responses.values())
    _add(store.judgements(GIVEN), records.judgements.values())
    if run.judge:
        judged = (
            (one.sample, one.whole, records.responses[one.key])
            for one in keyed(task, run.config)
            if one.key in records.responses
        )
        total = len(records.responses)
        label, most = f"judge {task.name}", run.settings.max_failures
        judge_responses(task.evaluator, judged, total, store, run.judge, progress, label, records.image, most)
    result = score_task(task, run.config, store, run.settings.protocol, run.identity)
    found = places(task, run.config, store, run.settings.protocol, run.identity)
    content = _content(run, result)
    device = run.settings.device if run.judge else "cpu"
    write_places(folder, folder, {task.name: found})
    note(folder, {"end": True, **describe(device), "settings": run.settings.model_dump(mode="json"), "cut": run.cut})
    write_json(folder / RESULTS, content)
    return Scored(result, list(read_scores(found["scores"])), content | {"folder": folder}, run.cut)


def _add(journal: Journal[Any], records: Collection[Response] | Collection[Judgement]) -> None:
    """Append the records that the journal does not hold as they are."""
    known = journal.index().get([one.key for one in records])
    journal.append(one for one, old in zip(records, known, strict=True) if one != old)


def _content(run: _Run, result: Result) -> dict[str, Any]:
    results = {run.task.name: result}
    return results_content(run.settings, run.spec, run.info, [run.task], results, gaps(results, lambda name: ()))
