"""`hermes eval`: plan, answers, judgements, scores, results.json; the one file that knows models and benchmarks."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.model import UnifiedModel
from hermes.harness.contracts.options import options_of
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.pins import Pins
from hermes.harness.models.detect import model_class
from hermes.harness.records.keys import slug
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Result
from hermes.harness.run.chains import Chains, step_label
from hermes.harness.run.chosen import recipe_lines
from hermes.harness.run.drawing import LOOK_UP, Asker, Drawn, Failing, batch_of, draw
from hermes.harness.run.environments import changed, environments
from hermes.harness.run.fresh import empty_store
from hermes.harness.run.gap import gaps, lacking
from hermes.harness.run.judging import Judged, judge_responses
from hermes.harness.run.loading import device_of, load_judges, load_model
from hermes.harness.run.plan import (
    Task,
    able_tasks,
    check_decoding,
    keyed,
    plan_tasks,
    request_of,
    resolved_config,
    run_id,
    run_spec,
)
from hermes.harness.run.rewriting import with_rewritten
from hermes.harness.run.samples import written
from hermes.harness.run.scoring import Entry, all_scored, places, read_scores, score_task
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.shared import meet_in
from hermes.harness.run.stores import asked_identity, code_version, open_store, root_of
from hermes.harness.run.view import RESULTS, note, open_run, results_content, write_places
from hermes.harness.system.disk import locked, write_json
from hermes.harness.system.environment import Stopwatch, describe, peak_memory_mb
from hermes.harness.system.pace import Stage
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.sharing import chunks

ATTEMPTS = 3


@dataclass
class Run:
    """What a run has come to so far: results, and where under the root answers and scores lie.

    ``undefined`` says of a model of one side why it has no gap.
    """

    settings: EvalSettings
    root: Path
    progress: Progress
    undefined: str = ""
    watch: Stopwatch = field(default_factory=Stopwatch)
    results: dict[str, Result] = field(default_factory=dict)
    places: dict[str, dict[str, Path]] = field(default_factory=dict)
    drawn: dict[str, Drawn] = field(default_factory=dict)
    emptied: set[Path] = field(default_factory=set)
    start: dict[str, Any] = field(default_factory=dict)

    def gaps(self) -> dict[str, Any]:
        """Both gaps, from the results and the score files."""
        return gaps(self.results, lambda name: read_scores(self.places[name]["scores"]), self.undefined)

    def finish(
        self,
        task: Task,
        config: GenerationConfig,
        store: Store,
        judge: str | None,
        drawn: Iterable[Entry] | None = None,
    ) -> None:
        """The result of a task whose answers and judgements are there, or come now, and where everything lies."""
        protocol = self.settings.protocol
        self.results[task.name] = score_task(task, config, store, protocol, judge, drawn)
        self.places[task.name] = places(task, config, store, protocol, judge)


def evaluate(
    settings: EvalSettings, progress: Progress | None = None, model: UnifiedModel | None = None, part: str = ""
) -> dict[str, Any]:
    """Run every task: ask what no store holds yet, score, and write the run folder; returns what results.json holds.

    ``model`` skips loading when the caller has it in memory (align does). ``part`` is what a larger plan calls this
    run, "" where it is all that is done. Beside what the file has, the returned content says under "folder" where it
    is, under "drawn" how many answers of each task were asked and reused, and what it took ("seconds",
    "peak_memory_mb").
    """
    load_plugins(settings.plugin)
    current().tell((progress or Silent()).say)
    for line in recipe_lines(settings):
        (progress or Silent()).say(line)
    handed_in = model is not None
    run = Run(settings, root_of(settings), progress or Silent())
    pins = Pins.of_root(run.root, settings.update_data)
    with run.watch.stage("plan"):
        cls = type(model) if model else model_class(settings.model)
        run.undefined = lacking(cls.abilities)
        tasks = plan_tasks(settings, cls, pins, run.progress)
        check_decoding(tasks, cls, settings.model)
    with run.watch.stage("rewrite prompts"):
        tasks = with_rewritten(tasks, settings, run.root, run.progress)
    for task in tasks:
        run.progress.detail(f"data: {_said_of_data(task)}")
    with run.watch.stage("load"):
        model = model or load_model(settings.model, settings.device, options_of(settings), run.progress)
        tasks = able_tasks(tasks, model.info, settings, run.progress)
        judges = load_judges([task.judge for task in tasks], model, settings.device)
    identities = {name: judge.identity for name, judge in judges.items()}
    spec = run_spec(tasks, model.info, code_version(model), identities, settings.seed, settings.protocol)
    folder = settings.out or run.root / slug(model.info.name) / run_id(spec)
    with ExitStack() as stack:
        if current().main:
            stack.enter_context(locked(folder))
            open_run(folder, spec, settings.fresh)
            pins.keep()
            run.start = _environment(settings, model, handed_in)
            note(folder, {"start": True, **run.start})
        meet_in(folder)
        run.progress.plan([stage for task in tasks for stage in _stages(task, model, part)])
        for task in tasks:
            _run_task(run, task, model, judges.get(task.judge or ""))
        content = results_content(settings, spec, model.info, tasks, run.results, run.gaps())
        if current().main:
            write_places(folder, run.root, run.places)
            write_json(folder / RESULTS, content)
            note(folder, {"end": True, **_end(run)})
        current().wait()
    return content | {
        "folder": folder,
        "drawn": run.drawn,
        "seconds": run.watch.seconds,
        "peak_memory_mb": peak_memory_mb(),
    }


def _environment(settings: EvalSettings, model: UnifiedModel, handed_in: bool) -> dict[str, Any]:
    """What is noted of a start; of a model that was handed in, the settings may say no more than its name."""
    return {
        **describe(device_of(type(model), settings.device)),
        "adapter": f"{type(model).__name__} {code_version(model)}",
        "model": model.info.model_dump(mode="json"),
        "handed_in": handed_in,
        "processes": current().world,
        "settings": settings.model_dump(mode="json"),
    }


def _end(run: Run) -> dict[str, Any]:
    """What is noted of an end; says which versions changed while the answers of the run were asked for."""
    stores = [found["answers"] for found in run.places.values()]
    changes = list(dict.fromkeys(line for store in stores for line in changed(environments(store))))
    for line in changes:
        run.progress.say(f"note: {line}")
    counts = {what: sum(getattr(one, what) for one in run.drawn.values()) for what in ("asked", "reused")}
    return {"seconds": run.watch.seconds, "peak_memory_mb": peak_memory_mb(), **counts, "changes": changes}


def _said_of_data(task: Task) -> str:
    info = task.data.info
    revision = f" at {info.revision}" if info.revision else ""
    judge = f", judge {task.judge}" if task.judge else ""
    return f"{task.name}, {info.n:,} samples from {info.source}{revision}, fingerprint {info.fingerprint}{judge}"


def _stages(task: Task, model: UnifiedModel, part: str) -> list[Stage]:
    """What a task's answers and judgements take, at the most."""
    config = resolved_config(task, model.info, 0)
    total = task.data.info.n * config.num_images
    judging = [Stage(_judging(task), total, f"judge {task.judge}", part)] if task.judge else []
    if isinstance(task.evaluator, Chained):
        kinds = enumerate(map(task.evaluator.ability_at, range(config.num_images)))
        steps = [Stage(step_label(task, index), task.data.info.n, kind, part) for index, kind in kinds]
        return [*steps, *judging]
    return [Stage(task.name, total, task.evaluator.ability, part), *judging]


def _judging(task: Task) -> str:
    return f"judge {task.name}"


def _run_task(run: Run, task: Task, model: UnifiedModel, judge: Judge | None) -> None:
    """One task to its result: answers, judgements, and scores, each taken from the store where it is there."""
    settings, progress = run.settings, run.progress
    config = resolved_config(task, model.info, settings.seed)
    asked = asked_identity(task.evaluator.asked_by.name, task.evaluator.asked_by.version, config)
    identity = judge.identity if judge else None
    with open_store(run.root, model.info, code_version(model), asked, progress.say) as store:
        if current().main and settings.fresh and store.folder not in run.emptied:
            empty_store(store)
            run.emptied.add(store.folder)
        current().wait()
        drawn, total = None, task.data.info.n * config.num_images
        in_words = task.evaluator.ability == "understanding" and judge is None
        if in_words and all_scored(task, config, store, settings.protocol):
            run.drawn[task.name] = Drawn(0, total)
        elif in_words and current().world == 1 and not store.responses.files():
            drawn = _drawn_in_turn(run, task, config, store, model)
            run.drawn[task.name] = Drawn(total, 0)
        else:
            run.drawn[task.name] = _ask(run, task, config, store, model, judge)
        if current().main:
            with run.watch.stage(f"score {task.name}"):
                run.finish(task, config, store, identity, drawn)
            _tell(run, task, store)
        current().wait()
        if not current().main:
            run.finish(task, config, store, identity)  # reads what the main process has left
        current().wait()


def _tell(run: Run, task: Task, store: Store) -> None:
    """Where a task's answers and scores are, and how many there were before."""
    drawn, scores = run.drawn[task.name], run.places[task.name]["scores"]
    run.progress.detail(
        f"{task.name}: {drawn.asked:,} answers asked in batches of {run.settings.batch_size}, {drawn.reused:,} reused, "
        f"in {store.folder}; scores: {scores}"
    )


def _drawn_in_turn(
    run: Run, task: Task, config: GenerationConfig, store: Store, model: UnifiedModel
) -> Iterator[Entry]:
    """Every answer of a task of which none is stored yet, to be scored as soon as its batch is on the disk.

    So the rows need not be read again for the scores.
    """
    failing = Failing(task.name, run.progress.say, run.settings.max_failures)
    index, advance = store.responses.index(), run.progress.advance
    asker = Asker(model, store, index, task.evaluator.wanted, task.pinned, failing, advance)
    run.progress.start(task.name, task.data.info.n * config.num_images)
    note(store.folder, {"start": True, **run.start})
    for batch in chunks(written(task, config, store), batch_of(model, run.settings.batch_size)):
        with run.watch.stage(f"draw {task.name}"):
            answers = asker.answer([request_of(one, config) for one in batch])
        for one, response in zip(batch, answers, strict=True):
            yield Entry(one.sample, one.number, response)
    note(store.folder, {"end": True, "asked": asker.asked})


def _ask(
    run: Run, task: Task, config: GenerationConfig, store: Store, model: UnifiedModel, judge: Judge | None
) -> Drawn:
    """Ask the model for the answers that are missing, and the judge about those that it has not judged.

    Answers whose pictures turn out to be damaged are asked for again. The store is told what the model ran on before
    the first answer, and at the end how much was asked.
    """
    total, asked = task.data.info.n * config.num_images, 0
    noted: list[bool] = []

    def before() -> None:
        if not noted:
            noted.append(True)
            note(store.folder, {"start": True, **run.start})

    for _ in range(ATTEMPTS):
        lost = 0
        with run.watch.stage(f"draw {task.name}"):
            if isinstance(task.evaluator, Chained):
                chains = Chains(task, config, store)
                asked += chains.draw(model, run.settings, run.progress, before).asked
                lost = chains.lost
            else:
                asked += draw(
                    model,
                    (request_of(one, config) for one in written(task, config, store)),
                    total,
                    store,
                    run.settings.batch_size,
                    run.progress,
                    task.name,
                    task.evaluator.wanted,
                    pinned=task.pinned,
                    before=before,
                    max_failures=run.settings.max_failures,
                ).asked
        if judge is None:
            break
        with run.watch.stage(label := _judging(task)):
            answered = _answered(store, task, config)
            most = run.settings.max_failures
            lost += judge_responses(
                task.evaluator, answered, total, store, judge, run.progress, label, max_failures=most
            )
        if not lost:
            break
        run.progress.say(f"{task.name}: {lost} stored pictures are damaged; they are drawn again")
    if noted:
        note(store.folder, {"end": True, "asked": asked})
    return Drawn(asked, max(0, total - asked))


def _answered(store: Store, task: Task, config: GenerationConfig) -> Iterator[Judged]:
    """Every stored answer of the task, with its sample, in sample order."""
    index = store.responses.index()
    for chunk in chunks(keyed(task, config), LOOK_UP):
        for one, response in zip(chunk, index.get([one.key for one in chunk]), strict=True):
            if response is not None:
                yield one.sample, one.whole, response
