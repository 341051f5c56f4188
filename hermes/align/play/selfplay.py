"""Self-play: rounds of candidates, preferences, training and evaluation, resumable at any point."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from hermes.align.pairs.apart import division
from hermes.align.play.card import write_cards
from hermes.align.play.changes import adopt
from hermes.align.play.chosen import tell_recipe
from hermes.align.play.game import Game, drawing_options, seconds_of
from hermes.align.play.history import facts_of, round_entry, write_history
from hermes.align.play.learning import learn
from hermes.align.play.measuring import EVALUATION, exhausted, guidance_of, guided_task, measure
from hermes.align.play.planning import plan_play
from hermes.align.play.preferring import DRAWN, DROPS, PREFERENCES, prefer, tidy_preferences
from hermes.align.play.stages import coming
from hermes.align.play.tracked import track_rounds
from hermes.align.play.workplan import tell_work
from hermes.align.settings import AlignSettings
from hermes.align.training.states import forget_states
from hermes.align.training.steplog import TrainingReport
from hermes.harness.contracts.model import Alignable, likelihoods_of
from hermes.harness.contracts.options import options_of
from hermes.harness.run.gap import lacking
from hermes.harness.run.loading import check_model, load_model
from hermes.harness.run.plan import run_id
from hermes.harness.run.view import RESULTS, open_run
from hermes.harness.system.disk import locked, read_json, remove_parts, write_atomic, write_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.trackers import check_trackers
from hermes.leaderboards.gallery import gallery_html
from hermes.leaderboards.report import write_reports

AGAIN = "and run the same command again"


def align(settings: AlignSettings, progress: Progress | None = None) -> dict[str, Any]:
    """Play ``settings.rounds`` rounds, continuing from what the folder holds; returns what history.json holds.

    Round 0 evaluates the base model. Round r draws candidates from the model of round r - 1, which is also the
    reference, trains on the preferences among them, and evaluates. With ``settings.patience`` it ends early, after that
    many rounds whose gap on validation items is no nearer to 0 than the best. The folder is under the key "folder";
    answers that other commands under the same root share stay when ``settings.fresh`` empties it. Raises HermesError
    for settings that do not fit the model, and for a folder of another self-play.
    """
    progress, given = progress or Silent(), settings
    current().tell(progress.say)
    planned = plan_play(settings, progress)
    settings, source, pins = planned.settings, planned.source, planned.pins
    check_trackers(settings.trackers)
    tell_recipe(given, progress)
    tell_work(planned, check_model(planned.cls, settings.model, settings.device, options_of(settings)).device, progress)
    model = cast(Alignable, load_model(settings.model, settings.device, drawing_options(settings), progress))
    spec = planned.spec(model.info)
    folder = planned.folder(model.info, spec)
    info = model.info.model_dump(mode="json")
    with ExitStack() as stack:
        if current().main:
            stack.enter_context(locked(folder))
            if not settings.fresh:
                adopt(folder, spec)
            open_run(folder, spec, settings.fresh)
            _tidy(folder)
            pins.keep()
        current().wait()
        game = Game(settings, folder, source, model, progress)
        facts = facts_of(spec, source.world, _guided_everywhere(settings), given, lacking(planned.cls.abilities))
        if source.world == "real":
            facts["data"] = division(source)
        progress.plan(coming(settings, folder, likelihoods_of(planned.cls)))
        for number in range(settings.rounds + 1):
            played = _play(game, number)
            if current().main:
                history = write_history(folder, run_id(spec), info, settings, facts)
                if played:
                    track_rounds(game, history["rounds"])
            current().wait()
            if exhausted(game, number):
                progress.plan([])
                break
        if current().main:
            if not played:
                track_rounds(game, history["rounds"])
            _write_reports(game)
        current().wait()
    content: dict[str, Any] = read_json(folder / "history.json")
    return content | {"folder": folder}


def _play(game: Game, number: int) -> bool:
    """One round, from whatever of it is done, to its round.json. Each phase is skipped where its output is there.

    Returns whether there was anything to do.
    """
    home = game.home(number)
    if (home / "round.json").exists():
        return False
    if number:
        prefer(game, number)
        game.phase(home, "training", home / "checkpoint", lambda: learn(game, number))
    measure(game, number)
    if current().main:
        forget_states(home / "training")
        report = _report(home) if number else None
        drops = read_json(home / DROPS, f"remove {home} {AGAIN}") if number else {}
        drawn = read_json(home / DRAWN, f"remove {home} {AGAIN}") if (home / DRAWN).exists() else {}
        results = read_json(home / EVALUATION / RESULTS, f"remove {home / EVALUATION} {AGAIN}")
        scale = guidance_of(game, number)
        guided = guided_task(game.settings, scale)
        entry = round_entry(number, results, guided, scale, report, drops, drawn, seconds_of(home))
        if number:
            write_cards(game, number, entry)
        write_json(home / "round.json", entry)
    current().wait()
    return True


def _guided_everywhere(settings: AlignSettings) -> str | None:
    """The task under guidance of all rounds; None where each chooses its own."""
    return None if settings.guidances else guided_task(settings, settings.eval_guidance)


def _report(home: Path) -> TrainingReport:
    remedy = f"remove {home} {AGAIN}"
    content = read_json(home / "training.json", remedy)
    try:
        return TrainingReport.model_validate(content)
    except ValidationError:
        raise HermesError(f"{home / 'training.json'} is no report of a training; {remedy}") from None


def _tidy(folder: Path) -> None:
    """Remove what killed processes have left half written."""
    homes = ("round-*", "round-*/training", "round-*/training/adapter", "round-*/checkpoint")
    for place in (folder / "media", *(found for home in homes for found in folder.glob(home))):
        remove_parts(place)
    for home in folder.glob("round-*"):
        tidy_preferences(home)


def _write_reports(game: Game) -> None:
    for home in game.folder.glob("round-*"):
        if (home / PREFERENCES).exists():
            write_atomic(home / "pairs.html", gallery_html(home, game.media))
    write_reports(game.folder)
