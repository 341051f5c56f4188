"""How hermes-tiny is trained from nothing: the image tokeniser, then the transformer on lessons of the shapes world."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.models.tiny.fit import Schedule, fit
from hermes.harness.models.tiny.packing import (
    NOTHING,
    Batch,
    Ints,
    Row,
    collate,
    cosine_mask,
    generation_row,
    plan_row,
    understanding_row,
)
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE, ImageTokenizer, to_tensor
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer, build_vocabulary
from hermes.harness.models.tiny.train_tokenizer import train_tokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.models.tiny.watch import generation, held_out, understanding
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.disk import sync_tree
from hermes.harness.system.progress import Progress
from hermes.shapes.draw import draw_batch
from hermes.shapes.lessons import lesson, planning, short_answer, training_scenes
from hermes.shapes.questions import ask
from hermes.shapes.scene import COLORS, GRID, SHAPES, SIZES, Scene

STEPS = 2_400
LEARNING_RATE = 2e-3
WATCHED = 100
WATCH_EVERY = 300
SCENES = 32
CONDITION_DROPOUT = 0.1
LONG_PROMPTS = 0.25
LONG_DIALOGUES = 0.4
WEIGHTS = {"image": 2.0, "caption": 1.0, "answer": 2.0, "plan": 1.0, "parts_seen": 0.5, "parts_drawn": 0.5}
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
PHASES = (
    Phase(until=400 / STEPS, drawn=SCENES, plans=0, more=2),
    Phase(until=900 / STEPS, drawn=SCENES // 4, plans=0, more=4),
    Phase(until=1500 / STEPS, drawn=SCENES * 3 // 16, plans=0, more=0, hard=HARD),
    Phase(until=1.0, drawn=SCENES * 3 // 16, plans=40, more=0, hard=(*HARD, "relation")),
)


@dataclass(frozen=True)
class Step:
    """One step's data: dialogues about images, images to be drawn and plans to be written, in batches of rows of like
    lengths.

    ``captions`` (B, L) tells the targets of captions from those of short answers; ``seen`` and ``drawn`` (B, 36, 3)
    which shape, color and size each image token is part of, for the two kinds of rows. ``share`` is the share of
    scenes that are drawn.
    """

    understanding: tuple[Batch, ...]
    captions: tuple[Tensor, ...]
    generation: tuple[Batch, ...]
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


def _batches(parts: list[list[Taught]], device: str) -> tuple[tuple[Batch, ...], tuple[Tensor, ...]]:
    rows = tuple(collate([row for row, _ in part]).to(device) for part in parts)
    return rows, tuple(torch.from_numpy(np.stack([what for _, what in part])).to(device) for part in parts)


def _caption_flags(taught: list[Taught]) -> Tensor:
    """(B, L) True in the last dialogue of each row."""
    rows = [row for row, _ in taught]
    flags = torch.zeros(len(rows), max(len(row.tokens) for row in rows), dtype=torch.bool)
    for flag, row in zip(flags, rows, strict=True):
        flag[: len(row.segment)] = torch.from_numpy(row.segment == row.segment.max())
    return flags


def lessons(text: TextTokenizer, images: ImageTokenizer, seed: int, device: str, course: int) -> Callable[[int], Step]:
    """Step number -> its data, drawn afresh from training scenes.

    ``course`` is the number of all steps. Drawing is learned sooner than answering, so later PHASES draw fewer scenes;
    planning is learned last, as it slows down both.
    """

    def data(step: int) -> Step:
        phase = next((phase for phase in PHASES if step < round(phase.until * course)), PHASES[-1])
        number = derive_seed(seed, "lessons", step)
        rng, noise = random.Random(number), np.random.default_rng(number)
        scenes = list(itertools.islice(training_scenes("train", number), SCENES))
        codes = images.encode(to_tensor(draw_batch(scenes)).to(device)).cpu().numpy() + len(text)
        dialogues, drawings = [], []
        for scene, code in zip(scenes, codes, strict=True):
            taught, more = lesson(scene, rng), lesson(scene, rng)
            hard = [qa for kind in phase.hard for qa in (ask(scene, rng, kind),) if qa]
            told = [*more.dialogues[: phase.more], *((short_answer(qa.question), qa.answer) for qa in hard)]
            told += taught.dialogues
            what = parts_of(scene)
            row = understanding_row(code, [(text.encode(prompt), text.encode(answer)) for prompt, answer in told])
            dialogues.append((row, what))
            prompt = [] if rng.random() < CONDITION_DROPOUT else text.encode(taught.prompt_for_image)
            drawings.append((generation_row(prompt, code, [cosine_mask(noise)]), what))
        asked = _by_length(dialogues, LONG_DIALOGUES)
        captions = tuple(_caption_flags(part).to(device) for part in asked)
        understanding, seen = _batches(asked, device)
        generation, drawn = _batches(_by_length(drawings[: phase.drawn], LONG_PROMPTS), device)
        pairs = [planning("train", rng) for _ in range(phase.plans)]
        plans = [plan_row(text.encode(prompt), text.encode(plan)) for prompt, plan in pairs]
        return Step(
            understanding,
            captions,
            generation,
            (collate(plans).to(device),) if plans else (),
            seen,
            drawn,
            share=phase.drawn / SCENES,
        )

    return data


class Pupil(nn.Module):
    """The transformer with a training-only reader that tells, from a middle layer, what each image token is part of.

    The reader is thrown away after training; it makes objects legible early, so that words find what they name.
    """

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer
        self.norm = nn.LayerNorm(transformer.shape.width)
        self.reader = nn.Linear(transformer.shape.width, sum(len(values) + 1 for values in ATTRIBUTES))

    def forward(self, batch: Batch, parts: Tensor, read: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Which targets were asked (B, L), their logits (N, V) by ``read``, and the reader's mean loss."""
        model = self.transformer
        states, _ = model.states(batch.tokens, batch.place, batch.cell, batch.mask)
        asked = batch.target != NOTHING
        seen = batch.cell > 0
        told = self.reader(self.norm(states[READ_LAYER][seen])).float().split([len(v) + 1 for v in ATTRIBUTES], -1)
        wanted = parts.flatten(0, 1).unbind(-1)
        losses = [F.cross_entropy(logits, want) for logits, want in zip(told, wanted, strict=True)]
        return asked, read(model.norm(states[-1][asked])), torch.stack(losses).sum()


def lesson_loss(module: nn.Module, step: Step) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of mean losses in nats: masked image tokens, caption, answer and plan tokens, and the reader's two.

    What belongs to drawing weighs by the share of the scenes that are drawn.
    """
    assert isinstance(module, Pupil)
    model = module.transformer
    losses: dict[str, list[Tensor]] = {name: [] for name in WEIGHTS}
    for batch, captions, parts in zip(step.understanding, step.captions, step.seen, strict=True):
        asked, logits, reading = module(batch, parts, model.text_logits)
        told = F.cross_entropy(logits, batch.target[asked], reduction="none")
        losses["caption"].append(told[captions[asked]])
        losses["answer"].append(told[~captions[asked]])
        losses["parts_seen"].append(reading[None])
    for batch, parts in zip(step.generation, step.drawn, strict=True):
        asked, logits, reading = module(batch, parts, model.image_logits)
        losses["image"].append(F.cross_entropy(logits, batch.target[asked] - model.shape.text, reduction="none"))
        losses["parts_drawn"].append(reading[None])
    for batch in step.plans:
        asked = batch.target != NOTHING
        hidden, _ = model(batch.tokens, batch.place, batch.cell, batch.mask)
        losses["plan"].append(F.cross_entropy(model.text_logits(hidden[asked]), batch.target[asked], reduction="none"))
    means = {name: torch.cat(found).mean() for name, found in losses.items() if found}
    shares = {"image": step.share, "parts_drawn": step.share}
    total = torch.stack([WEIGHTS[name] * shares.get(name, 1.0) * value for name, value in means.items()]).sum()
    return total, {name: value.item() for name, value in means.items()}


def train_tiny(
    out: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0, progress: Progress | None = None
) -> TinyModel:
    """Train hermes-tiny from nothing and save it in ``out``; ``scale`` shortens (or lengthens) both trainings.

    Logs are ``out/tokenizer/log.jsonl`` and ``out/transformer/log.jsonl``. The same call on the same machine goes on
    after an interruption and ends in the same weights.
    """
    folder = out / "transformer"
    folder.mkdir(parents=True, exist_ok=True)
    images = train_tokenizer(out / "tokenizer", seed, device, scale, progress).requires_grad_(False)
    text = build_vocabulary()
    torch.manual_seed(derive_seed(seed, "transformer", "weights"))
    transformer = Transformer(Shape(text=len(text))).to(device)
    model = TinyModel(str(out), text, images, transformer)
    items = held_out("validation", WATCHED)

    def watch(_: int) -> dict[str, float]:
        scores = understanding(model, items)
        return {"U": scores["U"]} | generation(model, items)

    steps = max(1, round(STEPS * scale))
    schedule = Schedule(steps=steps, learning_rate=LEARNING_RATE, decay=0.5)
    pupil, data = Pupil(transformer).to(device), lessons(text, images, seed, device, steps)
    hidden = [parameter for parameter in transformer.blocks.parameters() if parameter.dim() == 2]
    fit(pupil, data, lesson_loss, schedule, folder, device, watch, WATCH_EVERY, progress, "transformer", hidden)
    model.save(out, torch.float16)
    sync_tree(out)
    return model
