"""`hermes judge check`: a judge looks at pictures of which it is known what it should say. Loads no evaluated model."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from hermes.harness.contracts.benchmark import Evaluator, Verdict
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.options import FailureSettings, Panel, PluginSettings
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.geneval import holds_results
from hermes.harness.records.confusion import Confusion, Pair
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.records.types import Record, Response
from hermes.harness.run.judging import Judged, judge_responses
from hermes.harness.run.known_pictures import Known, Place, Verdicts, of_answers, of_drawn_world, of_judgements, of_run
from hermes.harness.run.loading import load_judges
from hermes.harness.run.plan import check_judge, check_scope, keyed
from hermes.harness.run.scoring import Entry, entries, scored
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress, Silent

MOST_SHOWN = 1000
"""Disagreements that are listed."""


class CheckSettings(PluginSettings, FailureSettings):
    """What `hermes judge check` is asked to do."""

    panel: ClassVar = Panel.ANSWERS

    judge: str = Field(description="The judge to check; `hermes list judges` shows all.")
    known: Path | None = Field(
        None,
        description="What is known: GenEval's results.jsonl or other judgements, a run folder with its judge's, or "
        "rows of image, question and answer. Default: the drawn world with its exact answers.",
    )
    task: str | None = Field(
        None, description="The benchmark of the pictures. Default: geneval for its results, the run's own judged task."
    )
    responses: Path | None = Field(None, description="The pictures that judgements are about, in any layout.")
    data: str | None = Field(
        None, description="The benchmark's rows. Default: those that come with the benchmark or the judgements."
    )
    limit: int | None = Field(None, ge=1, description="Only the first N pictures. Default: all.")
    runs: Path = Field(Path("runs"), description="Where judgements are kept, so that nothing is asked twice.")
    device: str = Field("auto", description="Where the judge runs: auto, cpu, cuda or cuda:N.")


class Disagreement(Record):
    """One thing of which the judge said something else than what is known; ``picture`` is where the picture lies."""

    sample: str
    index: int
    asked: str
    category: str
    known: str
    said: str
    picture: str


class Checked(Record):
    """How far a judge agrees with what is known, over all and by category.

    ``failed`` pictures could not be judged. Of ``disagreements`` the first are listed.
    """

    judge: str
    against: str
    task: str
    pictures: int
    failed: int
    overall: Confusion
    categories: dict[str, Confusion]
    disagreements: tuple[Disagreement, ...]


def check_the_judge(settings: CheckSettings, progress: Progress | None = None) -> Checked:
    """Ask the judge what has not been asked of it, and hold it against what is known.

    Raises HermesError for a judge that cannot do what the pictures need, and where nothing is known of any picture.
    """
    progress = progress or Silent()
    load_plugins(settings.plugin)
    check_judge(settings.judge)
    known = _known(settings, progress)
    evaluator = known.task.evaluator
    _refuse_unable(settings.judge, evaluator)
    wanted = known.first(settings.limit)
    if not wanted:
        raise HermesError(f"{known.source} holds no verdict that could be compared; give others with --known")
    check_scope(replace(known.task, judge=settings.judge))
    judge = load_judges([settings.judge], None, settings.device)[settings.judge]
    with known.store() as store:
        responses = store.responses.index()
        there = responses.get([one.key for one in known.responses])
        store.responses.append(one for one, old in zip(known.responses, there, strict=True) if one != old)
        judge_responses(
            evaluator,
            _answered(known, wanted, store),
            len(wanted),
            store,
            judge,
            progress,
            f"judge {known.task.name}",
            known.image,
            settings.max_failures,
        )
        return _compared(known, wanted, store, judge)


def _known(settings: CheckSettings, progress: Progress) -> Known:
    """The pictures, by what ``known`` is. Raises HermesError for options that do not go together."""
    known = settings.known
    if known is None and (settings.task or settings.responses or settings.data):
        raise HermesError("--known says what is known of the pictures; give it, or leave --task and the rest out")
    if known is None:
        return of_drawn_world(settings.runs, progress.say)
    if not known.exists():
        raise HermesError(f"--known {known} does not exist; give a file of judgements or answers, or a run folder")
    if known.is_dir() and (settings.responses or settings.data):
        raise HermesError(f"--known {known} is a run, which has its own pictures; leave --responses and --data out")
    if known.is_dir():
        return of_run(known, settings.task, progress)
    task = settings.task or ("geneval" if holds_results(known) else None)
    if task is None and settings.responses is None:
        return of_answers(known, settings.runs, progress.say)
    if task is None or settings.responses is None:
        lacking = "--task, the benchmark" if task is None else "--responses, the pictures"
        raise HermesError(f"--known {known} holds judgements; give {lacking} that they are about")
    return of_judgements(task, known, settings.responses, settings.data, settings.runs, progress)


def _refuse_unable(name: str, evaluator: Evaluator) -> None:
    """Raise HermesError for a judge that cannot be held against what is known of the benchmark's pictures."""
    judge = registry.load_class("judges", name)
    needs, abilities = evaluator.judge_needs, getattr(judge, "abilities", ("answer",))
    if evaluator.judges_itself or needs is None:
        raise HermesError(f"task {evaluator.name!r} takes no judge that could be checked; give another --task")
    if needs not in abilities:
        raise HermesError(
            f"judge {name!r} can {', '.join(abilities)}, and the pictures need one that can {needs}; give pictures "
            "that fit it with --task, --responses and --known, or another --judge"
        )


def _answered(known: Known, wanted: Verdicts, store: Store) -> Iterator[Judged]:
    """The pictures of which something is known."""
    responses = store.responses.index()
    for one in keyed(known.task, known.config):
        if (one.sample.id, one.number) in wanted:
            (response,) = responses.get([one.key])
            if response is not None:
                yield one.sample, one.whole, response


def _compared(known: Known, wanted: Verdicts, store: Store, judge: Judge) -> Checked:
    """What the judge said, thing by thing, beside what is known."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    disagreements: list[Disagreement] = []
    shown: dict[Place, Response] = {}

    def entries_wanted() -> Iterator[Entry]:
        for one in entries(known.task, known.config, store, judge.identity):
            if (one.sample.id, one.number) in wanted:
                if one.response is not None:
                    shown[one.sample.id, one.number] = one.response
                yield one

    pictures, evaluator = 0, known.task.evaluator
    for sample, score in scored(evaluator, entries_wanted(), known.protocol, judged=True):
        if score.status == "error":
            continue
        pictures, place = pictures + 1, (sample.id, score.index)
        for right, found in _matched(wanted[place], evaluator.verdicts(sample, score)):
            pairs[right.category].append(Pair(sample.group_id, right.said, found.said))
            if right.said != found.said and len(disagreements) < MOST_SHOWN:
                told = {"asked": right.asked, "category": right.category, "known": right.said, "said": found.said}
                picture = _where((known.image or store.image)(shown[place]))
                disagreements.append(Disagreement(sample=sample.id, index=score.index, picture=picture, **told))
    every = [pair for found in pairs.values() for pair in found]
    if not every:
        raise HermesError(f"judge {judge.identity!r} judged none of the {len(wanted)} pictures of {known.source}")
    return Checked(
        judge=judge.identity,
        against=known.source,
        task=known.task.name,
        pictures=pictures,
        failed=len(wanted) - pictures,
        overall=Confusion.of(every),
        categories={name: Confusion.of(pairs[name]) for name in sorted(pairs)},
        disagreements=tuple(disagreements),
    )


def _matched(known: Iterable[Verdict], said: Iterable[Verdict]) -> Iterator[tuple[Verdict, Verdict]]:
    """What is known of each thing, and what was said of it; what nobody could read tells nothing."""
    found: dict[str, deque[Verdict]] = defaultdict(deque)
    for one in said:
        found[one.asked].append(one)
    for right in known:
        if found[right.asked]:
            mine = found[right.asked].popleft()
            if right.said:
                yield right, mine


def _where(image: ImageHandle) -> str:
    """The file of a picture, "" of one that lies in none."""
    return str(image.source) if isinstance(image.source, str | Path) else ""
