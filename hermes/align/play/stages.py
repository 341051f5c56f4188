"""What a self-play has still to do, stage by stage, at the most, as far as files and settings tell."""

from collections.abc import Iterator
from pathlib import Path

from hermes.align.play.history import round_folder
from hermes.align.play.measuring import EVALUATION, evaluated_tasks
from hermes.align.play.preferring import CANDIDATES
from hermes.align.settings import AlignSettings
from hermes.align.training.schedule import plan
from hermes.harness.run.view import RESULTS
from hermes.harness.system.pace import Stage


def coming(settings: AlignSettings, folder: Path) -> list[Stage]:
    """The stages of all rounds that are not done. An evaluation's steps are 0 until it begins and tells them."""
    return [stage for number in range(settings.rounds + 1) for stage in _round(settings, folder, number)]


def _round(settings: AlignSettings, folder: Path, number: int) -> Iterator[Stage]:
    home = round_folder(folder, number)
    if (home / "round.json").exists():
        return
    if number and not (home / CANDIDATES).exists() and not (number == 1 and settings.pairs):
        yield from _candidates(settings, number)
    if number and not (home / "checkpoint").exists():
        yield Stage(f"train ({settings.objective})", training_steps(settings))
    if not (home / EVALUATION / RESULTS).exists():
        yield from (Stage(name, 0) for name in evaluated_tasks(settings))


def training_steps(settings: AlignSettings) -> int:
    """Steps of a round in which every item gives a pair."""
    return len(plan(settings.items, 1, settings))


def _candidates(settings: AlignSettings, number: int) -> Iterator[Stage]:
    captions, images = settings.items * settings.n, settings.items * (settings.n_images or settings.n)
    yield Stage(f"captions, round {number}", captions, "captions")
    yield Stage(f"images, round {number}", images, "images")
    yield Stage(f"critic, round {number}", images, "critic")
    if settings.confidence:
        yield Stage("confidence", images)
    yield Stage(f"similarity ({settings.similarity})", captions)
