"""What each phase of a round computes, reads and takes on each process: FLOPs, bytes, seconds. Pure arithmetic.

A phase takes as long as the slower of its arithmetic and its reading at the assumed share of the card's best. Text
and autoregressive pictures come token by token, and each token reads all weights once for all rows that are asked
together.
"""

from hermes.align.play.hardware import BUSY, Card
from hermes.align.training.sizing import StepSizes
from hermes.harness.records.types import Record

TOGETHER = 16
"""Rows that adapters ask together at the most."""
QUESTIONS = 5
"""Questions about a picture, and tokens of an answer, where a plan cannot know them."""
REPLY = 8
ENCODERS = {"facts": 0, "minilm": 22_700_000, "mpnet": 109_000_000, "bert-cls": 335_000_000}
"""Parameters of what compares captions."""


class Amount(Record):
    """What is asked in a round, over all processes; ``reply``: tokens of a caption at the most.

    ``guidances``: the scales at which the evaluated items are drawn to choose one of them.
    """

    captions: int
    images: int
    judged: int
    encoder: int
    epochs: int
    pairs: int
    replayed: int
    reply: int
    evaluated: int | None
    guided: bool
    answers: int = 0
    guidances: tuple[float, ...] = ()


class Work(Record):
    """A model's passes: ``steps`` over a whole picture's ``codes``, 0 where these come one by one.

    ``same``: whether the weights that draw are as wide as those that are trained.
    """

    sizes: StepSizes
    codes: int
    steps: int
    draws_bf16: bool
    trains_bf16: bool
    same: bool = True

    @property
    def weights(self) -> int:
        """Bytes of the weights that draw."""
        if self.same:
            return self.sizes.weights
        return self.sizes.weights // 2 if self.draws_bf16 else self.sizes.weights * 2


class Phase(Record):
    """One phase of a round on one process; None: not known. ``read``: bytes of weights, ``memory``: at its peak."""

    name: str
    flops: float | None
    read: float | None
    seconds: float | None
    memory: int | None


def phases(amount: Amount, work: Work, ranks: int, training: int, card: Card | None) -> tuple[Phase, ...]:
    """All phases of a round on one of so many processes; ``training``: bytes of a step at its peak."""
    sizes = work.sizes
    text, image = sizes.forward.get("text", 0.0), sizes.forward.get("image", 0.0)
    rows = 2 if amount.guided else 1
    drawing, reading = _held(work, "image", TOGETHER * rows), _held(work, "text", TOGETHER)
    passes = work.steps or work.codes

    def phase(name: str, flops: float, reads: float, bf16: bool, memory: int | None) -> Phase:
        flops, read = flops / ranks, reads * work.weights / ranks
        if not flops:
            seconds: float | None = 0.0
        else:
            seconds = None if card is None else max(flops / card.peak(bf16), read / card.bandwidth) / BUSY
        return Phase(name=name, flops=flops, read=read, seconds=seconds, memory=memory)

    def answers(count: int, tokens: int) -> tuple[float, float]:
        return count * text, count / TOGETHER * tokens

    def pictures(count: int, rows: int) -> tuple[float, float]:
        return count * rows * max(work.steps, 1) * image, count / TOGETHER * passes

    found = []
    if amount.captions:
        found.append(phase("captions", *answers(amount.captions, amount.reply), work.draws_bf16, reading))
    if amount.answers:
        found.append(phase("answers", *answers(amount.answers, REPLY), work.draws_bf16, reading))
    if amount.images:
        found.append(phase("images", *pictures(amount.images, rows), work.draws_bf16, drawing))
    if amount.judged:
        found.append(phase("critic", *answers(amount.judged, REPLY), work.draws_bf16, reading))
    if amount.captions:
        compared = 2.0 * amount.encoder * amount.captions * amount.reply
        found.append(phase("similarity", compared, 0, False, None))
    reference = amount.epochs * amount.pairs * 2 * (text + image)
    trained = amount.epochs * amount.pairs * sizes.flops + amount.replayed * sizes.flops / 4
    found.append(phase("training", reference + trained, 0, work.trains_bf16, training))
    most = max(drawing, reading)
    guided = tuple(2 if scale else 1 for scale in amount.guidances)
    measured = {"guidance": (len(guided), guided), "evaluation": (2, (rows,))}
    for name, (asked, drawn) in measured.items():
        if amount.evaluated is None and drawn:
            found.append(Phase(name=name, flops=None, read=None, seconds=None, memory=most))
        elif amount.evaluated is not None and drawn:
            parts = [answers(asked * QUESTIONS * amount.evaluated, REPLY)]
            parts += [pictures(amount.evaluated, of_one) for of_one in drawn]
            flops, reads = sum(part[0] for part in parts), sum(part[1] for part in parts)
            found.append(phase(name, flops, reads, work.draws_bf16, most))
    return tuple(found)


def _held(work: Work, side: str, rows: int) -> int:
    """Bytes of the weights and of so many rows that go through them together."""
    return work.weights + rows * work.sizes.row.get(side, 0)
