"""What a self-play takes on this hardware, counted before anything is drawn, and the refusal of what cannot fit."""

import os
from math import inf

from hermes.align.play.budget import Budget, Ranks
from hermes.align.play.cost import ENCODERS, QUESTIONS, Amount, Phase, Work, phases
from hermes.align.play.fits import Training
from hermes.align.play.hardware import BUSY, Card, card_of
from hermes.align.play.planning import Planned
from hermes.align.play.stages import training_steps
from hermes.align.settings import AlignSettings
from hermes.align.training.schedule import epochs
from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.contracts.options import options_of
from hermes.harness.models.device import device_name, measured_rate
from hermes.harness.models.outline import Outline, Side
from hermes.harness.models.room import free_memory, sized
from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError
from hermes.harness.system.pace import clock_time
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress

SIDES: tuple[Side, ...] = ("text", "image")


class WorkPlan(Record):
    """A round on one of ``ranks`` processes. ``unknown``: why there is nothing more, "" where there is.

    ``free`` bytes are there for each process, ``micro`` pairs go through the model at once, ``largest`` at the most fit
    (0: not even one), and ``advice`` is what would make the training fit, where it does not. ``timed``: whether the
    speed of ``card`` is known.
    """

    unknown: str = ""
    card: str = ""
    timed: bool = False
    ranks: Ranks = Ranks()
    micro: int = 1
    free: int = 0
    training: Budget | None = None
    largest: int = 0
    phases: tuple[Phase, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def terms(self) -> str:
        """On what terms the times are."""
        if not self.timed:
            return f"time: unknown, as the speed of {self.card} is not known before the work begins"
        return (
            f"time: at {BUSY:.0%} of the best of {self.card} in its arithmetic, or in reading weights where that takes "
            f"longer; {QUESTIONS} questions a picture are assumed"
        )


def tell_work(planned: Planned, device: str, progress: Progress) -> None:
    """Say what a round takes, at the start of a self-play. Raises HermesError where the training cannot fit."""
    plan = work_plan(planned, device, measure=True)
    for line in plan_lines(plan):
        progress.say(line)
    refuse_too_large(plan)


def work_plan(planned: Planned, device: str, measure: bool = False) -> WorkPlan:
    """The plan of a round; loads no weights. ``measure``: how fast a CPU is, which takes a moment."""
    settings, cuda = planned.settings, device.startswith("cuda")
    outline = outline_of(planned)
    if outline is None:
        return WorkPlan(unknown=f"{settings.model} does not tell its sizes before it is loaded")
    free = free_memory(device, options_of(settings))[0]
    if not cuda:
        free //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    kinds = likelihoods_of(planned.cls)
    training = Training(outline, tuple(side for side in SIDES if side in kinds), ranks_here(), cuda, free)
    name = device_name(device)
    if cuda or not measure:
        return plan_of(settings, training, name, card_of(name))
    rate = measured_rate()
    return plan_of(settings, training, name, Card(name=name, bf16=rate, fp32=rate, bandwidth=inf))


def plan_of(settings: AlignSettings, training: Training, name: str, card: Card | None) -> WorkPlan:
    """The plan of a round of resolved ``settings`` on processes with a card of this name, None where it is unknown."""
    found, micro = training.budget(settings), training.micro(settings)
    work = Work(
        sizes=training.sizes(settings),
        codes=training.outline.codes,
        steps=training.outline.steps,
        draws_bf16=training.drawing(settings) != "float32",
        same=training.drawing(settings) == training.dtype(settings),
        trains_bf16=bool(settings.bf16),
    )
    peak, amount = found.peak(micro), amount_of(settings, training.sides)
    return WorkPlan(
        card=name,
        timed=card is not None,
        ranks=training.ranks,
        micro=micro,
        free=training.free,
        training=found,
        largest=found.largest(training.free),
        phases=phases(amount, work, training.ranks.number, peak, card),
        advice=() if peak <= training.free else training.advice(settings),
    )


def refuse_too_large(plan: WorkPlan) -> None:
    """Raise HermesError for a training that cannot fit; it names the settings with which it would."""
    if plan.training is None or (needed := plan.training.peak(plan.micro)) <= plan.free:
        return
    pairs = "a pair" if plan.micro == 1 else f"{plan.micro} pairs"
    remedy = f"give {', or '.join(plan.advice)}" if plan.advice else "take a smaller model or more memory"
    raise HermesError(
        f"training with {pairs} at once needs about {sized(needed)} on each process, which has {sized(plan.free)}; "
        f"{remedy}"
    )


def plan_lines(plan: WorkPlan) -> list[str]:
    """A plan in a few lines, without its table."""
    if plan.training is None:
        return [f"work: not counted, as {plan.unknown}"]
    hours = ", ".join(f"{one.name} {taken(one.seconds)}" for one in plan.phases)
    return [f"plan of a round on {plan.card}, at {BUSY:.0%} of its speed: {hours}", memory_line(plan)]


def memory_line(plan: WorkPlan) -> str:
    """What a training step takes of the memory, part by part."""
    if (step := plan.training) is None:
        return "training: unknown"
    parts = {"weights": step.weights, "gradients": step.gradients, "AdamW": step.moments, "copies": step.copies}
    parts["activations"] = step.activations(plan.micro)
    told = ", ".join(f"{name} {sized(size)}" for name, size in parts.items() if size)
    fits = f"at most {plan.largest:,} fit" if plan.largest else "not even one fits"
    pairs = "a pair" if plan.micro == 1 else f"{plan.micro} pairs"
    return f"training: {sized(step.peak(plan.micro))} with {pairs} at once ({told}) of {sized(plan.free)}; {fits}"


def taken(seconds: float | None) -> str:
    """ "2:05:00", or "?"."""
    return "?" if seconds is None else clock_time(seconds)


def outline_of(planned: Planned) -> Outline | None:
    """The model without its weights; None where its adapter does not tell."""
    tell = getattr(planned.cls, "outline", None)
    outline: Outline | None = tell(planned.settings.model) if tell else None
    return outline


def ranks_here() -> Ranks:
    """The processes of this launch, as accelerate's environment tells them."""
    number = current().world
    sharded = number > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    reshard = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() != "false"
    return Ranks(number=number, sharded=sharded, reshard=reshard)


def amount_of(settings: AlignSettings, sides: tuple[Side, ...]) -> Amount:
    """What a round asks, at the most."""
    images = settings.items * (settings.n_images or settings.n) if "image" in sides and settings.images else 0
    asked = QUESTIONS * (2 if settings.confidence else 1) if settings.critic == "self" else 0
    asked = 1 if settings.scores == "dual" else asked
    return Amount(
        captions=settings.items * settings.n if "text" in sides and settings.captions else 0,
        images=images,
        answers=settings.items * QUESTIONS * settings.drawn_answers if "text" in sides else 0,
        judged=images * asked,
        encoder=ENCODERS.get(settings.similarity.partition(":")[0], 0),
        epochs=epochs(settings.most_pairs, settings),
        pairs=0 if settings.objective == "replay" else settings.most_pairs,
        replayed=training_steps(settings) * settings.replay_batch if settings.replays else 0,
        reply=settings.caption_tokens,
        evaluated=settings.eval_limit,
        guided=settings.guidance > 0,
        guidances=settings.guidances,
    )
