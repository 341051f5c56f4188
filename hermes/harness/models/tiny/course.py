"""How a small model of the shapes world is taught: lessons drawn afresh, phases, a reader that is thrown away."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.tiny.fit import Schedule, fit
from hermes.harness.models.tiny.packing import Batch, Ints, Row, plan_row
from hermes.harness.models.tiny.packing import collate as collate_texts
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE, to_tensor
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Trunk
from hermes.harness.models.tiny.unified import WorldModel
from hermes.harness.models.tiny.watch import generation, held_out, understanding
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.progress import Progress
from hermes.shapes.draw import draw_batch
from hermes.shapes.lessons import lesson, planning, short_answer, training_scenes
from hermes.shapes.questions import ask
from hermes.shapes.scene import COLORS, GRID, SHAPES, SIZES, Scene

LEARNING_RATE = 2e-3
WATCHED = 100
WATCH_EVERY = 300
SCENES = 32
CONDITION_DROPOUT = 0.1
LONG_PROMPTS = 0.25
LONG_DIALOGUES = 0.4
ATTRIBUTES = (SHAPES, COLORS, SIZES)
READ_LAYER = 2


@dataclass(frozen=True)
class Phase:
    """A part of the course, up to a share of all steps: how many scenes are drawn, how many plans are written, and the
    questions of a second lesson or of the hard kinds that are asked beside the four of the first one."""

    until: float
    drawn: int
    plans: int
    more: int
    hard: tuple[str, ...] = ()


HARD = ("exists", "place", "count", "relation")


@dataclass(frozen=True)
class Board:
    """How pictures come into lessons: pixels (N, 3, 48, 48) to N pictures, a picture with its dialogues and a picture
    to be drawn (its noise from the generator) to rows, rows to a batch that has ``asked``, and the loss of each asked
    place (N,) from its hidden states (N, width)."""

    encode: Callable[[Tensor], Sequence[Any]]
    seen: Callable[[Any, Sequence[tuple[list[int], list[int]]]], Row]
    drawn: Callable[[Sequence[int], Any, np.random.Generator], Row]
    collate: Callable[[Sequence[Row]], Any]
    states: Callable[[Any, Any], tuple[list[Tensor], Any]]
    loss: Callable[[Any, Tensor, Any], Tensor]


@dataclass(frozen=True)
class Course:
    """How many steps, in which phases, and what each loss weighs."""

    steps: int
    phases: tuple[Phase, ...]
    weights: dict[str, float]


@dataclass(frozen=True)
class Step:
    """One step's data: dialogues about images, images to be drawn and plans to be written, in batches of rows of like
    lengths.

    ``captions`` (B, L) tells the targets of captions from those of short answers; ``seen`` and ``drawn`` (B, 36, 3)
    which shape, color and size each image token is part of, for the two kinds of rows. ``share`` is the share of
    scenes that are drawn.
    """

    understanding: tuple[Any, ...]
    captions: tuple[Tensor, ...]
    generation: tuple[Any, ...]
    plans: tuple[Batch, ...]
    seen: tuple[Tensor, ...]
    drawn: tuple[Tensor, ...]
    share: float


Taught = tuple[Row, Ints]


def parts_of(scene: Scene) -> Ints:
    """For each image token the shape, color and size of the object in its place of the 3 x 3 grid, (36, 3).

    Indices into ATTRIBUTES; where the place is empty, the index after the last.
    """
    grid = np.tile([len(values) for values in ATTRIBUTES], (GRID * GRID, 1))
    for obj in scene.objects:
        grid[obj.cell] = SHAPES.index(obj.shape), COLORS.index(obj.color), SIZES.index(obj.size)
    wide = SIDE // GRID
    return grid.reshape(GRID, GRID, 3).repeat(wide, 0).repeat(wide, 1).reshape(IMAGE_TOKENS, 3)


def _by_length(rows: list[Taught], longest: float) -> list[list[Taught]]:
    """The rows by length, the given share of longest ones apart."""
    ordered = sorted(rows, key=lambda taught: len(taught[0].tokens))
    cut = len(ordered) - round(longest * len(ordered))
    return [part for part in (ordered[:cut], ordered[cut:]) if part]


def _batches(
    parts: list[list[Taught]], collate: Callable[[Sequence[Row]], Any], device: str
) -> tuple[tuple[Any, ...], tuple[Tensor, ...]]:
    rows = tuple(collate([row for row, _ in part]).to(device) for part in parts)
    return rows, tuple(torch.from_numpy(np.stack([what for _, what in part])).to(device) for part in parts)


def _caption_flags(taught: list[Taught]) -> Tensor:
    """(B, L) True in the last dialogue of each row."""
    rows = [row for row, _ in taught]
    flags = torch.zeros(len(rows), max(len(row.tokens) for row in rows), dtype=torch.bool)
    for flag, row in zip(flags, rows, strict=True):
        flag[: len(row.segment)] = torch.from_numpy(row.segment == row.segment.max())
    return flags


def lessons(
    text: TextTokenizer, board: Board, phases: Sequence[Phase], seed: int, device: str, course: int
) -> Callable[[int], Step]:
    """Step number -> its data, drawn afresh from training scenes.

    ``course`` is the number of all steps. Drawing is learned sooner than answering, so later phases draw fewer scenes;
    planning is learned last, as it slows down both.
    """

    def data(step: int) -> Step:
        phase = next((phase for phase in phases if step < round(phase.until * course)), phases[-1])
        number = derive_seed(seed, "lessons", step)
        rng, noise = random.Random(number), np.random.default_rng(number)
        scenes = list(itertools.islice(training_scenes("train", number), SCENES))
        pictures = board.encode(to_tensor(draw_batch(scenes)).to(device))
        dialogues, drawings = [], []
        for scene, picture in zip(scenes, pictures, strict=True):
            taught, more = lesson(scene, rng), lesson(scene, rng)
            hard = [qa for kind in phase.hard for qa in (ask(scene, rng, kind),) if qa]
            told = [*more.dialogues[: phase.more], *((short_answer(qa.question), qa.answer) for qa in hard)]
            told += taught.dialogues
            what = parts_of(scene)
            row = board.seen(picture, [(text.encode(prompt), text.encode(answer)) for prompt, answer in told])
            dialogues.append((row, what))
            prompt = [] if rng.random() < CONDITION_DROPOUT else text.encode(taught.prompt_for_image)
            drawings.append((board.drawn(prompt, picture, noise), what))
        asked = _by_length(dialogues, LONG_DIALOGUES)
        captions = tuple(_caption_flags(part).to(device) for part in asked)
        understanding, seen = _batches(asked, board.collate, device)
        generation, drawn = _batches(_by_length(drawings[: phase.drawn], LONG_PROMPTS), board.collate, device)
        pairs = [planning("train", rng) for _ in range(phase.plans)]
        plans = [plan_row(text.encode(prompt), text.encode(plan)) for prompt, plan in pairs]
        return Step(
            understanding,
            captions,
            generation,
            (collate_texts(plans).to(device),) if plans else (),
            seen,
            drawn,
            share=phase.drawn / SCENES,
        )

    return data


class Pupil(nn.Module):
    """The transformer with a training-only reader that tells, from a middle layer, what each image token is part of.

    ``parts`` (B, 36, 3) holds for all copies of a row's picture. The reader is thrown away after training; it makes
    objects legible early, so that words find what they name.
    """

    def __init__(self, transformer: Trunk) -> None:
        super().__init__()
        self.transformer = transformer
        self.norm = nn.LayerNorm(transformer.shape.width)
        self.reader = nn.Linear(transformer.shape.width, sum(len(values) + 1 for values in ATTRIBUTES))

    def forward(self, states: Sequence[Tensor], batch: Any, parts: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden states of what was asked (N, width), and the reader's mean loss, from those of every layer."""
        seen = batch.cell > 0
        told = self.reader(self.norm(states[READ_LAYER][seen])).float().split([len(v) + 1 for v in ATTRIBUTES], -1)
        copies = int(seen.sum()) // parts[..., 0].numel()
        wanted = parts.repeat(1, copies, 1).flatten(0, 1).unbind(-1)
        losses = [F.cross_entropy(logits, want) for logits, want in zip(told, wanted, strict=True)]
        hidden: Tensor = self.transformer.norm(states[-1][batch.asked])
        return hidden, torch.stack(losses).sum()


def lesson_loss(
    module: nn.Module, step: Step, board: Board, weights: dict[str, float]
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of mean losses: of pictures, in nats of caption, answer and plan tokens, and of the reader's two.

    What belongs to drawing weighs by the share of the scenes that are drawn.
    """
    assert isinstance(module, Pupil)
    model = module.transformer
    losses: dict[str, list[Tensor]] = {name: [] for name in weights}
    for batch, captions, parts in zip(step.understanding, step.captions, step.seen, strict=True):
        hidden, reading = module(board.states(model, batch)[0], batch, parts)
        told = F.cross_entropy(model.text_logits(hidden), batch.target[batch.asked], reduction="none")
        flags = captions[batch.asked]
        losses["caption"].append(told[flags])
        losses["answer"].append(told[~flags])
        losses["parts_seen"].append(reading[None])
    for batch, parts in zip(step.generation, step.drawn, strict=True):
        hidden, reading = module(board.states(model, batch)[0], batch, parts)
        losses["image"].append(board.loss(model, hidden, batch))
        losses["parts_drawn"].append(reading[None])
    for batch in step.plans:
        hidden = model.text(batch.tokens, batch.place, batch.mask)[0][batch.asked]
        losses["plan"].append(F.cross_entropy(model.text_logits(hidden), batch.target[batch.asked], reduction="none"))
    means = {name: torch.cat(found).mean() for name, found in losses.items() if found}
    shares = {"image": step.share, "parts_drawn": step.share}
    total = torch.stack([weights[name] * shares.get(name, 1.0) * value for name, value in means.items()]).sum()
    return total, {name: value.item() for name, value in means.items()}


def teach(
    model: WorldModel[Any],
    board: Board,
    course: Course,
    folder: Path,
    seed: int,
    device: str,
    scale: float,
    progress: Progress | None,
) -> None:
    """Train the model's transformer in place, or go on in ``folder``; the log is ``folder/log.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    transformer, items = model.transformer, held_out("validation", WATCHED)

    def watch(_: int) -> dict[str, float]:
        scores = understanding(model, items)
        return {"U": scores["U"]} | generation(model, items)

    steps = max(1, round(course.steps * scale))
    schedule = Schedule(steps=steps, learning_rate=LEARNING_RATE, decay=0.5)
    pupil = Pupil(transformer).to(device)
    data = lessons(model.text, board, course.phases, seed, device, steps)
    loss = partial(lesson_loss, board=board, weights=course.weights)
    hidden = [parameter for parameter in transformer.blocks.parameters() if parameter.dim() == 2]
    fit(pupil, data, loss, schedule, folder, device, watch, WATCH_EVERY, progress, "transformer", hidden)
