"""What a self-play takes on this hardware, counted before anything is drawn, and the refusal of what cannot fit."""

import os
from collections.abc import Iterator
from functools import cache
from math import inf

from hermes.align.play.budget import Budget, Ranks, budget
from hermes.align.play.cost import ENCODERS, QUESTIONS, Amount, Phase, Work, phases
from hermes.align.play.hardware import BUSY, Card, card_of
from hermes.align.play.planning import Planned
from hermes.align.play.stages import training_steps
from hermes.align.settings import AlignSettings, TrainSettings
from hermes.align.training.schedule import epochs
from hermes.align.training.sizing import StepSizes, step_sizes
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

SHARDS = (2, 4, 8, 16, 32, 64)
ADVICE = 3
"""How many settings a refusal names at the most."""


class WorkPlan(Record):
    """A round on one of ``ranks`` processes. ``unknown``: why there is nothing more, "" where there is.

    ``free`` bytes are there for each process; ``largest`` is the largest micro-batch that fits, 0 where none does, and
    ``advice`` what would make the training fit, where it does not.
    """

    unknown: str = ""
    card: str = ""
    known_card: bool = False
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
        if not self.known_card:
            return f"time: unknown, as the speed of {self.card} is not known before the work begins"
        return (
            f"time: at {BUSY:.0%} of the best of {self.card} in its arithmetic, or in reading weights where that takes "
            f"longer; {QUESTIONS} questions a picture are assumed"
        )

    @property
    def fits(self) -> bool:
        """Whether a step as it is set fits into what is free; True where that is not known."""
        return self.training is None or self.training.peak(self.micro) <= self.free


def work_plan(planned: Planned, device: str, rate: float | None = None) -> WorkPlan:
    """The plan of a round; ``rate``: measured FLOP/s of a device that is not in the table. Loads no weights."""
    settings = planned.settings
    outline = outline_of(planned)
    if outline is None:
        return WorkPlan(unknown=f"{settings.model} does not tell its sizes before it is loaded")
    ranks = ranks_here()
    free = free_memory(device, options_of(settings))[0]
    if not device.startswith("cuda"):
        free //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    name = device_name(device)
    card = card_of(name) if rate is None else Card(name=name, bf16=rate, fp32=rate, bandwidth=inf)
    cuda = device.startswith("cuda")
    return plan_of(settings, outline, ranks, cuda, free, card, name, sides_of(planned.cls))


def tell_work(planned: Planned, device: str, progress: Progress) -> None:
    """Say what a round takes, at the start of a self-play. Raises HermesError where the training cannot fit."""
    plan = work_plan(planned, device)
    if plan.training is not None and not plan.known_card and not device.startswith("cuda"):
        plan = work_plan(planned, device, measured_rate())
    for line in plan_lines(plan):
        progress.say(line)
    refuse_too_large(plan)


def plan_lines(plan: WorkPlan) -> list[str]:
    """A plan in a few lines, without its table."""
    if plan.training is None:
        return [f"plan: none, as {plan.unknown}"]
    hours = ", ".join(f"{one.name} {taken(one.seconds)}" for one in plan.phases)
    return [f"plan of a round on {plan.card}, at {BUSY:.0%} of its speed: {hours}", memory_line(plan)]


def memory_line(plan: WorkPlan) -> str:
    """What a training step takes of the memory, part by part."""
    assert plan.training is not None
    step = plan.training
    parts = {"weights": step.weights, "gradients": step.gradients, "AdamW": step.moments, "copies": step.copies}
    parts |= {"activations": step.fixed + plan.micro * step.pair}
    told = ", ".join(f"{name} {sized(size)}" for name, size in parts.items() if size)
    fits = f"at most {plan.largest} fit" if plan.largest else "not even one fits"
    return f"training: {sized(step.peak(plan.micro))} with {plan.micro} pairs at once ({told}), of {sized(plan.free)} free; {fits}"


def taken(seconds: float | None) -> str:
    """ "2:05:00", or "?"."""
    return "?" if seconds is None else clock_time(seconds)


def plan_of(
    settings: AlignSettings,
    outline: Outline,
    ranks: Ranks,
    cuda: bool,
    free: int,
    card: Card | None,
    name: str,
    sides: tuple[Side, ...],
) -> WorkPlan:
    """The plan of a round of resolved ``settings`` on processes with ``free`` bytes each."""
    sizes = _sizes(
        outline, _step(settings), _dtype(settings, cuda), bool(settings.bf16), cuda, sides, settings.caption_tokens
    )
    training = budget(sizes, settings, ranks, cuda)
    micro = min(settings.micro_batch, -(-settings.batch_size // ranks.number))
    largest = training.largest(free)
    draws_bf16 = _dtype(settings, cuda) != "float32"
    work = Work(
        sizes=sizes, codes=outline.codes, steps=outline.steps, draws_bf16=draws_bf16, trains_bf16=bool(settings.bf16)
    )
    fits = training.peak(micro) <= free
    return WorkPlan(
        card=name,
        known_card=card is not None,
        ranks=ranks,
        micro=micro,
        free=free,
        training=training,
        largest=largest,
        phases=phases(amount_of(settings, sides), work, ranks.number, training.peak(micro), card),
        advice=() if fits else tuple(_advice(settings, outline, ranks, cuda, free, sides, micro, largest)),
    )


def refuse_too_large(plan: WorkPlan) -> None:
    """Raise HermesError for a training that cannot fit; it names the settings with which it would."""
    if plan.training is None or plan.fits:
        return
    needed = sized(plan.training.peak(plan.micro))
    remedy = f"give {', or '.join(plan.advice)}" if plan.advice else "take a smaller model or more memory"
    raise HermesError(
        f"training with {plan.micro} pairs at once needs about {needed} on each process, which has {sized(plan.free)}; {remedy}"
    )


def outline_of(planned: Planned) -> Outline | None:
    """The model without its weights; None where its adapter does not tell."""
    tell = getattr(planned.cls, "outline", None)
    outline: Outline | None = tell(planned.settings.model) if tell else None
    return outline


def sides_of(cls: object) -> tuple[Side, ...]:
    """The sides that have likelihoods."""
    kinds = likelihoods_of(cls)
    return tuple(side for side in ("text", "image") if side in kinds)  # type: ignore[misc]


def ranks_here() -> Ranks:
    """The processes of this launch, as accelerate's environment tells them."""
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    reshard = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() != "false"
    return Ranks(number=current().world, sharded=sharded and current().world > 1, reshard=reshard)


def amount_of(settings: AlignSettings, sides: tuple[Side, ...]) -> Amount:
    """What a round asks, at the most."""
    images = settings.items * (settings.n_images or settings.n) if "image" in sides else 0
    judged = images * QUESTIONS * (2 if settings.confidence else 1) if settings.critic == "self" else 0
    pairs = 0 if settings.objective == "replay" else settings.items
    return Amount(
        captions=settings.items * settings.n if "text" in sides else 0,
        images=images,
        judged=judged,
        encoder=ENCODERS.get(settings.similarity.partition(":")[0], 0),
        epochs=epochs(settings.items, settings),
        pairs=pairs,
        replayed=training_steps(settings) * settings.replay_batch if settings.replays else 0,
        reply=settings.caption_tokens,
        evaluated=settings.eval_limit,
        guided=settings.guidance > 0,
    )


def _advice(
    settings: AlignSettings,
    outline: Outline,
    ranks: Ranks,
    cuda: bool,
    free: int,
    sides: tuple[Side, ...],
    micro: int,
    largest: int,
) -> Iterator[str]:
    """The settings with which a step would fit, those that change the least first."""
    if largest:
        yield f"--micro-batch {largest}"
    changes: list[tuple[str, dict[str, object]]] = [
        ("--checkpointing", {"checkpointing": True}),
        ("--lora-rank 16", {"lora_rank": 16}),
        ("--lora-rank 16 --checkpointing", {"lora_rank": 16, "checkpointing": True}),
        ("--lora-rank 16 --dtype bfloat16", {"lora_rank": 16, "dtype": "bfloat16"}),
        (
            "--lora-rank 16 --dtype bfloat16 --checkpointing",
            {"lora_rank": 16, "dtype": "bfloat16", "checkpointing": True},
        ),
    ]
    found = int(bool(largest))
    for flags, change in changes:
        if found == ADVICE:
            return
        if all(getattr(settings, name) == value for name, value in change.items()):
            continue
        other = settings.model_copy(update=change)
        sizes = _sizes(outline, _step(other), _dtype(other, cuda), bool(other.bf16), cuda, sides, other.caption_tokens)
        if (fitting := budget(sizes, other, ranks, cuda).largest(free)) > 0:
            found += 1
            yield flags + (f" --micro-batch {fitting}" if fitting < micro else "")
    if found < ADVICE and not ranks.sharded:
        sizes = _sizes(
            outline, _step(settings), _dtype(settings, cuda), bool(settings.bf16), cuda, sides, settings.caption_tokens
        )
        for number in SHARDS:
            if budget(sizes, settings, Ranks(number=number, sharded=True), cuda).largest(free):
                yield f"configs/fsdp.yaml on {number} GPUs"
                return


@cache
def _sizes(
    outline: Outline, step: TrainSettings, dtype: str, bf16: bool, cuda: bool, sides: tuple[Side, ...], tokens: int
) -> StepSizes:
    return step_sizes(outline, step, dtype, bf16, cuda, sides, tokens)


def _step(settings: AlignSettings) -> TrainSettings:
    """Of the settings those that change what a step keeps."""
    return TrainSettings(
        lora_rank=settings.lora_rank, lora_targets=settings.lora_targets, checkpointing=settings.checkpointing
    )


def _dtype(settings: AlignSettings, cuda: bool) -> str:
    return ("bfloat16" if cuda else "float32") if settings.dtype == "auto" else settings.dtype
