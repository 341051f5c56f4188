"""An ablation: arms x seeds of self-plays, side by side, resumable, with one report over all of them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from hermes.align.play.apart import played
from hermes.align.play.chosen import settings_for
from hermes.align.play.history import round_folder
from hermes.align.play.recipes import SHELF
from hermes.align.settings import AlignSettings
from hermes.harness.records.types import Record
from hermes.harness.run.stores import ANSWERS
from hermes.harness.system.disk import make_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.settings import build


class Ablation(Record):
    """What an ablation file says: settings of `hermes align` for all (``common``) and for each arm, and the seeds.

    ``base`` is the arm that the others are compared with; the first one where it is not given.
    """

    seeds: tuple[int, ...] = (0,)
    common: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]]
    base: str | None = None


class Job(Record):
    """One self-play of an ablation."""

    arm: str
    settings: AlignSettings


def read_ablation(path: Path) -> Ablation:
    """The ablation of a TOML file or a shipped recipe. Raises HermesError for an unknown key or an invalid arm."""
    ablation = build(Ablation, overrides=SHELF.read(path))
    if not ablation.arms:
        raise HermesError(f"{path} has no arms; add a table [arms.NAME] for each")
    if ablation.base and ablation.base not in ablation.arms:
        raise HermesError(f"{path}: base {ablation.base!r} is not an arm; choose from {', '.join(ablation.arms)}")
    return ablation


def jobs(ablation: Ablation, out: Path) -> list[Job]:
    """Every self-play, seed by seed; all settings are checked here. Self-plays share their answers."""
    names = {ANSWERS: "the answers that all share"}
    for arm in ablation.arms:
        if (taken := names.setdefault(_folder_name(arm), f"arm {arm!r}")) != f"arm {arm!r}":
            raise HermesError(f"arm {arm!r}: its folder would be that of {taken}; give it another name")
    found = []
    for seed in ablation.seeds:
        for arm, own in ablation.arms.items():
            place = {"seed": seed, "label": arm, "out": out / _folder_name(arm) / f"seed-{seed}", "runs": out}
            try:
                found.append(Job(arm=arm, settings=settings_for({**ablation.common, **own, **place})))
            except HermesError as error:
                raise HermesError(f"arm {arm!r}: {error}") from None
    return found


def ablate(ablation: Ablation, out: Path, workers: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """Play all self-plays that are not finished, ``workers`` at a time, and write report.md and curves.png.

    Each is resumed where it was. One that fails does not stop the others and stands in the report, too. Returns
    ``{"folder", "failed": {name: why}}``.
    """
    progress = progress or Silent()
    wanted = jobs(ablation, out)
    make_folder(out)
    progress.start("self-plays", len(wanted))
    known = [job for job in wanted if _ended(job)]
    failed: dict[str, str] = {}
    for job, why in _played(wanted, workers):
        name = f"{job.arm}, seed {job.settings.seed}"
        if why:
            failed[name] = why
            progress.say(f"{name} has failed, the others go on: {why}")
        if job in known:
            progress.skip(1)
        else:
            progress.advance(note=f"last {name}")
    from hermes.leaderboards.arms import write_report

    folders = {arm: out / _folder_name(arm) for arm in ablation.arms}
    write_report(out, folders, ablation.base or next(iter(ablation.arms)), failed)
    return {"folder": out, "failed": failed}


def _played(wanted: Sequence[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
    """All self-plays as they end, those first that had ended before; why one failed, None where it did not."""
    ended, others = [job for job in wanted if _ended(job)], [job for job in wanted if not _ended(job)]
    if current().world > 1:
        if workers > 1:
            raise HermesError("workers are processes of one command; under `accelerate launch` leave --workers out")
        ended, others = list(wanted), []
    for job in ended:
        yield job, _play(job)
    for number, why in played([job.settings for job in others], workers):
        yield others[number], why


def _ended(job: Job) -> bool:
    folder = job.settings.out
    return folder is not None and (round_folder(folder, job.settings.rounds) / "round.json").exists()


def _play(job: Job) -> str | None:
    """Play one self-play in this process; the reason where it cannot be."""
    from hermes.align.play.selfplay import align

    try:
        align(job.settings)
    except HermesError as error:
        return str(error)
    return None


def _folder_name(arm: str) -> str:
    return re.sub(r"[^\w.]+", "-", arm).strip("-")
