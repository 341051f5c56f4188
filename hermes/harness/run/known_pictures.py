"""Pictures of which it is known what a judge should say: from files, from a run, or of the drawn world.

Each way gives a task with its answers in a store, and for each answer what is known, thing by thing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator, Verdict
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.contracts.reader import words
from hermes.harness.data.answers import read_answers
from hermes.harness.data.cuts import Cutting
from hermes.harness.data.files import file_rows
from hermes.harness.data.geneval import holds_results
from hermes.harness.data.homologous.records import Question, read_question, read_questions
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.layouts import usual_grid
from hermes.harness.data.rows import BadRow
from hermes.harness.data.tables import WORLD_SEED, Table, held_data
from hermes.harness.records.images import ImageHandle, image_handle
from hermes.harness.records.sources import is_path, unwrapped
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, ModelInfo, Response, Sample, Score
from hermes.harness.run.gap import GENERATION
from hermes.harness.run.outside.matching import matched
from hermes.harness.run.outside.records import Records, picture_content, records_of
from hermes.harness.run.outside.rows import scored_rows
from hermes.harness.run.outside.score import CODE, ScoreSettings, score_files
from hermes.harness.run.outside.task import check_kinds, data_source
from hermes.harness.run.plan import Task, keyed, plan_tasks
from hermes.harness.run.rescoring import as_it_was, read_run
from hermes.harness.run.scoring import read_scores
from hermes.harness.run.stores import BUSY, asked_identity, open_store
from hermes.harness.system import registry
from hermes.harness.system.disk import locked
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress
from hermes.shapes.twins.homologous import rows as drawn_rows

Place = tuple[str, int]
"""A sample's id, and which of its pictures it is."""
Verdicts = Mapping[Place, Sequence[Verdict]]
NAME = "known-pictures"


@dataclass(frozen=True)
class Known:
    """The pictures, and what is known of them.

    ``store`` opens where the pictures' records and all judgements of them lie; ``image`` gives a picture that does not
    lie there. ``source`` says in words whose verdicts are taken for right.
    """

    source: str
    task: Task
    config: GenerationConfig
    protocol: str
    verdicts: Verdicts
    store: Callable[[], AbstractContextManager[Store]]
    image: Callable[[Response], ImageHandle] | None = None
    responses: Sequence[Response] = ()

    def first(self, limit: int | None) -> Verdicts:
        """What is known of the first ``limit`` pictures."""
        return dict(islice(self.verdicts.items(), limit))


def of_drawn_world(runs: Path, say: Callable[[str], None]) -> Known:
    """The test scenes of the drawn world with their questions and exact answers."""
    named = [
        (row["id"], row["image"], read_questions(row["questions"], row["id"])) for row in drawn_rows("test", WORLD_SEED)
    ]
    return _asked("the scenes of the drawn world", "shapes", named, runs, say)


def of_answers(path: Path, runs: Path, say: Callable[[str], None]) -> Known:
    """A file with an image, a question and its right answer a row. Raises HermesError for a row that lacks one."""
    asked: dict[str, list[Question]] = defaultdict(list)
    images: dict[str, Any] = {}
    for number, row in enumerate(file_rows(path), 1):
        where = f"{path}: row {number}"
        if isinstance(row, BadRow):
            raise row.error
        image = unwrapped(row.get("image"))
        name = str(image) if is_path(image) else f"row {number}"
        images[name] = image_path(image, path.parent, image_root()) if is_path(image) else image
        image_handle(images[name], where)
        asked[name] += read_questions(row["questions"], where) if row.get("questions") else [read_question(row, where)]
    return _asked(str(path), "real", [(name, images[name], asked[name]) for name in images], runs, say)


def of_judgements(task: str, known: Path, responses: Path, data: str | None, runs: Path, progress: Progress) -> Known:
    """Pictures of a benchmark in any layout, and a file of what another judge, or people, said of them.

    Raises HermesError where either does not fit the benchmark.
    """
    source = data or (str(known) if holds_results(known) else None)
    told = score_files(ScoreSettings(task=task, responses=known, data=source), progress)
    evaluator = registry.evaluator(task)
    rows = scored_rows(evaluator, data_source(evaluator, source, responses))
    cutting = Cutting(evaluator.config.num_images, usual_grid(evaluator.data.columns))
    answers = read_answers(responses, rows.known, cutting, evaluator.ability)
    check_kinds(evaluator, answers)
    if any(answer.image is None for answer in answers.given):
        raise HermesError(f"{responses} holds judgements, and no pictures that a judge could look at; give these")
    config = evaluator.config.model_copy(update={"num_images": answers.num_images})
    found = Task(task, evaluator, {"num_images": answers.num_images}, rows.data, None)
    records = records_of(found, config, matched(rows, answers), answers, progress)
    samples = {sample.id: sample for sample in rows.data.samples}
    verdicts = _of_scores(evaluator, ((samples.get(score.sample_id), score) for score in told.scores))
    return _of_records(str(known), found, config, verdicts, records, runs, progress.say)


def of_run(folder: Path, task: str | None, progress: Progress) -> Known:
    """The pictures of a run, and what its judge said of them.

    Raises HermesError where the run has no such task, or not the pictures themselves, and where its data have changed.
    """
    old = read_run(folder)
    load_plugins(old.settings.plugin)
    judged = {name: content["judge"] for name, content in old.spec["tasks"].items() if content["judge"]}
    if old.spec.get("answers") == "files":
        raise HermesError(f"{folder} holds answers from files; give their judgements with --known, and --responses")
    if task not in judged and (task or len(judged) != 1):
        raise HermesError(f"--known {folder}: give one of its judged tasks with --task: {', '.join(judged) or 'none'}")
    name = task or next(iter(judged))
    told = old.spec["tasks"][name]
    asked = next(one for one, plain in zip(old.settings.tasks, old.spec["tasks"], strict=True) if plain == name)
    (found,) = plan_tasks(old.settings.model_copy(update={"tasks": (asked,), "fresh": False}), old.info, to_judge=False)
    found = as_it_was(folder, old, found)
    config = GenerationConfig.model_validate(told["config"])
    scores = read_scores(old.places[name]["scores"])
    samples = (one.sample for one in keyed(found, config))
    verdicts = _of_scores(found.evaluator, zip(samples, scores, strict=True))
    store = Store(old.places[name]["answers"])

    opened = partial(_locked, store, BUSY.format(task=name, folder=store.folder), progress.say)
    return Known(f"{folder}, judge {judged[name]}", found, config, told["protocol"], verdicts, opened)


@contextmanager
def _locked(store: Store, busy: str, say: Callable[[str], None]) -> Iterator[Store]:
    """A store that nobody else works with meanwhile."""
    with locked(store.folder, wait=partial(say, busy)):
        yield store


def _of_scores(evaluator: Evaluator, scored: Iterable[tuple[Sample | None, Score]]) -> dict[Place, list[Verdict]]:
    """What the judge behind these scores said; answers without a usable judgement are left out."""
    return {
        (score.sample_id, score.index): found
        for sample, score in scored
        if sample is not None and score.status != "error" and (found := list(evaluator.verdicts(sample, score)))
    }


def _asked(
    source: str,
    world: Any,
    named: Iterable[tuple[str, Any, Sequence[Question]]],
    runs: Path,
    say: Callable[[str], None],
) -> Known:
    """Pictures by name with the questions about each; what is known is the right answer."""
    evaluator = registry.evaluator(GENERATION)
    pictures = list(named)
    samples = [
        Sample(id=name, group_id=name, ability="generation", prompt="", target=[qa.row() for qa in asked])
        for name, _, asked in pictures
    ]
    if not samples:
        raise HermesError(f"{source} holds no rows; write lines with image, question and answer")
    verdicts = {
        (name, 0): [Verdict(qa.question, qa.kind, words(qa.answer)) for qa in asked] for name, _, asked in pictures
    }
    task = Task(GENERATION, evaluator, {}, held_data(evaluator, Table((), source, source, world), samples), None)
    records = Records({}, {}, {})
    for one, (name, picture, _) in zip(keyed(task, evaluator.config), pictures, strict=True):
        handle = image_handle(picture, f"{source}, {name}")
        records.images[one.key] = handle
        records.responses[one.key] = Response(
            key=one.key, sample_id=name, index=0, seed=0, prompt_sha256="", **picture_content(handle)
        )
    return _of_records(source, task, evaluator.config, verdicts, records, runs, say)


def _of_records(
    source: str,
    task: Task,
    config: GenerationConfig,
    verdicts: Verdicts,
    records: Records,
    runs: Path,
    say: Callable[[str], None],
) -> Known:
    """Pictures that lie anywhere, whose records and judgements are kept with the answers below ``runs``."""
    info = ModelInfo(name=NAME, fingerprint=records.fingerprint(), abilities=(task.evaluator.ability,))
    asked = asked_identity(task.evaluator.name, task.evaluator.version, config)
    opened = partial(open_store, runs, info, CODE, asked, say)
    protocol = task.evaluator.protocols[0]
    return Known(source, task, config, protocol, verdicts, opened, records.image, tuple(records.responses.values()))
