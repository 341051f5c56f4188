"""What a self-play has still to do, stage by stage, at the most, as far as files and settings tell."""

from collections.abc import Collection, Iterator
from itertools import takewhile
from pathlib import Path

from hermes.align.losses.shelf import PREPARED, REPLAYED
from hermes.align.play.history import round_folder
from hermes.align.play.measuring import EVALUATION, GUIDANCE, REPORT, VALIDATION, measured_gap, stalled
from hermes.align.play.preferring import CANDIDATES, PREFERENCES
from hermes.align.settings import AlignSettings
from hermes.align.training.schedule import plan
from hermes.harness.system.pace import Stage

OUTPUTS = {
    "candidates": CANDIDATES,
    "preferences": PREFERENCES,
    "training": "checkpoint",
    GUIDANCE: f"{GUIDANCE}/{REPORT}",
    EVALUATION: f"{EVALUATION}/{REPORT}",
    VALIDATION: f"{VALIDATION}/{REPORT}",
}
"""The phases of a round, each with the file that it leaves at its end."""


def coming(settings: AlignSettings, folder: Path, kinds: Collection[str]) -> list[Stage]:
    """The stages of all rounds that are not done; an evaluation is one, which tells its own when it begins.

    ``kinds``: what has a likelihood, "text" or "image", and so candidates.
    """
    return [stage for number in rounds(settings, folder) for stage in _round(settings, folder, number, kinds)]


def rounds(settings: AlignSettings, folder: Path | None) -> range:
    """The rounds of a self-play, up to the one at which patience has ended it."""
    gaps: list[float] = []
    if settings.patience and folder:
        homes = (round_folder(folder, number) for number in range(settings.rounds + 1))
        for home in takewhile(lambda home: (home / OUTPUTS[VALIDATION]).exists(), homes):
            gaps.append(measured_gap(home))
            if stalled(gaps, settings.patience):
                return range(len(gaps))
    return range(settings.rounds + 1)


def missing(settings: AlignSettings, number: int, home: Path | None) -> tuple[str, ...]:
    """The phases of a round that are still to do; ``home`` is its folder, None where there is none yet."""
    phases = [*([GUIDANCE] if settings.guidances else []), EVALUATION]
    if number:
        drawn = [] if number == 1 and settings.pairs else ["candidates"]
        phases = [*drawn, "preferences", "training", *phases]
    if home and (home / "round.json").exists():
        phases = []
    if settings.patience:
        phases.append(VALIDATION)
    return tuple(phase for phase in phases if home is None or not (home / OUTPUTS[phase]).exists())


def _round(settings: AlignSettings, folder: Path, number: int, kinds: Collection[str]) -> Iterator[Stage]:
    for phase in missing(settings, number, round_folder(folder, number)):
        if phase == "candidates":
            yield from _candidates(settings, number, kinds)
        elif phase == "preferences":
            yield Stage("preferences", settings.items)
        elif phase == "training":
            yield Stage(f"prepare {PREPARED}", None)
            if settings.replays:
                yield Stage(f"prepare {REPLAYED}", None)
            if settings.regmean:
                yield Stage("regmean (texts)", None)
            yield Stage(f"train ({settings.objective})", training_steps(settings))
            if settings.regmean:
                yield Stage("regmean (images)", None)
        elif phase in (GUIDANCE, EVALUATION, VALIDATION):
            yield Stage(phase, None)


def training_steps(settings: AlignSettings) -> int:
    """Steps of a round in which every item gives all its pairs."""
    return len(plan(settings.most_pairs, 1, settings))


def _candidates(settings: AlignSettings, number: int, kinds: Collection[str]) -> Iterator[Stage]:
    captions, images = settings.items * settings.n, settings.items * (settings.n_images or settings.n)
    if "text" in kinds and settings.captions:
        yield Stage(f"captions, round {number}", captions, "captions")
    if "text" in kinds and settings.drawn_answers:
        yield Stage(f"answers, round {number}", None, "answers")
    if "image" in kinds and settings.images:
        yield Stage(f"images, round {number}", images, "images")
        if settings.scores == "dual":
            yield Stage("dual", images)
        else:
            yield Stage(f"critic, round {number}", images, "critic")
            if settings.confidence:
                yield Stage("confidence", images)
    if "text" in kinds and settings.captions and settings.scores == "dual":
        yield Stage("dual", captions)
    elif "text" in kinds and settings.captions:
        yield Stage(f"similarity ({settings.similarity})", settings.items)
