"""What a self-play would do and take, found out without loading anything: `hermes align --dry-run`.

The time is that of the phases that are still missing, at the mean time of the same phases in the rounds that this
self-play has done.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from statistics import fmean

from hermes.align.play.chosen import recipe_lines
from hermes.align.play.game import seconds_of
from hermes.align.play.history import round_folder
from hermes.align.play.measuring import evaluated_tasks
from hermes.align.play.planning import Planned, plan_play
from hermes.align.play.stages import OUTPUTS, missing, rounds, training_steps
from hermes.align.play.workplan import WorkPlan, refuse_too_large, work_plan
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.contracts.options import options_of
from hermes.harness.models.room import free_memory
from hermes.harness.records.types import ModelInfo, Record
from hermes.harness.run.forecast import free_disk
from hermes.harness.run.gap import lacking
from hermes.harness.run.known import base_models, known_model
from hermes.harness.run.loading import check_model
from hermes.harness.run.stores import root_of
from hermes.harness.run.view import refuse_foreign
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.trackers import check_trackers


class RoundForecast(Record):
    """One round: which phases are ``missing``, and the seconds that they take (None: unknown)."""

    number: int
    missing: tuple[str, ...]
    seconds: float | None


class PlayForecast(Record):
    """A self-play before anything is loaded: ``captions`` and ``images`` are drawn in a round, ``steps`` trained.

    ``guidances`` are those of which each round takes the best for G.
    ``undefined``: why a model of one side has no gap, "" for others.
    ``folder``: where it is, None where no earlier run under the same root knows the model. Bytes: ``weights`` of the
    model in memory and of each round's checkpoint (0: unknown), ``memory`` and ``disk`` that are free. ``recipe``:
    lines on it. ``work``: what a round takes on this hardware.
    """

    model: str
    device: str
    data: str
    critic: str
    folder: Path | None
    rounds: tuple[RoundForecast, ...]
    items: int
    captions: int
    images: int
    steps: int
    evaluated: tuple[str, ...]
    guidances: tuple[float, ...] = ()
    undefined: str = ""
    weights: int
    memory: int
    disk: int
    seconds: float | None
    recipe: tuple[str, ...] = ()
    work: WorkPlan = WorkPlan()


def forecast(settings: AlignSettings, progress: Progress | None = None) -> PlayForecast:
    """The plan of a self-play, checked as for itself. Raises HermesError for whatever would make it fail at once."""
    recipe = tuple(recipe_lines(settings))
    planned = plan_play(settings, progress or Silent())
    settings, root, options = planned.settings, root_of(planned.settings), options_of(planned.settings)
    check_trackers(settings.trackers)
    device, sources, weights = check_model(planned.cls, settings.model, settings.device, options)
    if settings.out:
        refuse_foreign(settings.out)
    work = work_plan(planned, device)
    refuse_too_large(work)
    folder = _folder(planned, root, device, known_model(root, settings, device, sources))
    told = _rounds(settings, folder)
    known = [one.seconds for one in told if one.seconds is not None]
    kinds = likelihoods_of(planned.cls)
    return PlayForecast(
        model=settings.model,
        device=device,
        data=planned.source.source,
        critic=settings.critic,
        folder=folder,
        rounds=told,
        items=settings.items,
        captions=settings.items * settings.n if "text" in kinds and settings.captions else 0,
        images=settings.items * (settings.n_images or settings.n) if "image" in kinds and settings.images else 0,
        steps=training_steps(settings),
        evaluated=evaluated_tasks(settings, planned.cls.abilities, settings.eval_guidance),
        guidances=settings.guidances,
        undefined=lacking(planned.cls.abilities),
        weights=weights,
        memory=free_memory(device, options)[0],
        disk=free_disk(root),
        seconds=sum(known) if len(known) == len(told) else None,
        recipe=recipe,
        work=work,
    )


def _folder(planned: Planned, root: Path, device: str, known: ModelInfo | None) -> Path | None:
    """Where the self-play is: the first folder that is there, else the one that a known model would have."""
    if planned.settings.out is not None:
        return planned.settings.out
    found = [
        planned.folder(info, planned.spec(info))
        for info in chain([known] if known else [], base_models(root, planned.settings, device))
    ]
    return next((folder for folder in found if folder.is_dir()), found[0] if found else None)


def _rounds(settings: AlignSettings, folder: Path | None) -> tuple[RoundForecast, ...]:
    past = [seconds_of(round_folder(folder, number)) for number in range(settings.rounds + 1)] if folder else []
    means = {phase: fmean(known) for phase in OUTPUTS if (known := [one[phase] for one in past if phase in one])}
    kept = None if settings.fresh else folder
    return tuple(
        _round(number, missing(settings, number, round_folder(kept, number) if kept else None), means)
        for number in rounds(settings, kept)
    )


def _round(number: int, phases: tuple[str, ...], means: Mapping[str, float]) -> RoundForecast:
    known = all(phase in means for phase in phases)
    return RoundForecast(number=number, missing=phases, seconds=sum(means[one] for one in phases) if known else None)
