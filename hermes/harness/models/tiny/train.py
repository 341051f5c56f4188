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
    Row,
    collate,
    cosine_mask,
    generation_row,
    understanding_row,
)
from hermes.harness.models.tiny.tokenizer_image import ImageTokenizer, to_tensor
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer, build_vocabulary
from hermes.harness.models.tiny.train_tokenizer import train_tokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.models.tiny.watch import generation, held_out, understanding
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.draw import draw_batch
from hermes.harness.shapes.lessons import lesson, training_scenes

STEPS = 2_200
LEARNING_RATE = 2e-3
WATCHED = 100
WATCH_EVERY = 300
SCENES = 32
EXTRA_QUESTIONS = 2
CONDITION_DROPOUT = 0.1
LONG_PROMPTS = 0.25
LONG_DIALOGUES = 0.4
WEIGHTS = {"image": 2.0, "caption": 1.0, "answer": 2.0}


@dataclass(frozen=True)
class Step:
    """One step's data: dialogues about images and images to be drawn, each in batches of rows of like lengths so that
    little is padding; ``captions`` (B, L) tells the targets of captions from those of short answers."""

    understanding: tuple[Batch, ...]
    captions: tuple[Tensor, ...]
    generation: tuple[Batch, ...]


def _parts(rows: list[Row], longest: float) -> list[list[Row]]:
    """The rows by length, the given share of longest ones apart."""
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    cut = len(ordered) - round(longest * len(ordered))
    return [part for part in (ordered[:cut], ordered[cut:]) if part]


def _caption_flags(rows: list[Row]) -> Tensor:
    """(B, L) True in the last dialogue of each row."""
    flags = torch.zeros(len(rows), max(len(row.tokens) for row in rows), dtype=torch.bool)
    for flag, row in zip(flags, rows, strict=True):
        flag[: len(row.segment)] = torch.from_numpy(row.segment == row.segment.max())
    return flags


def steps(text: TextTokenizer, images: ImageTokenizer, seed: int, device: str) -> Callable[[int], Step]:
    """Step number -> its data, drawn afresh from training scenes."""

    def data(step: int) -> Step:
        number = derive_seed(seed, "lessons", step)
        rng, noise = random.Random(number), np.random.default_rng(number)
        scenes = list(itertools.islice(training_scenes("train", number), SCENES))
        codes = images.encode(to_tensor(draw_batch(scenes)).to(device)).cpu().numpy() + len(text)
        dialogues, drawings = [], []
        for scene, code in zip(scenes, codes, strict=True):
            taught, more = lesson(scene, rng), lesson(scene, rng)
            told = [*more.dialogues[:EXTRA_QUESTIONS], *taught.dialogues]
            dialogues.append(understanding_row(code, [(text.encode(a), text.encode(b)) for a, b in told]))
            prompt = [] if rng.random() < CONDITION_DROPOUT else text.encode(taught.prompt_for_image)
            drawings.append(generation_row(prompt, code, [cosine_mask(noise)]))
        understanding = _parts(dialogues, LONG_DIALOGUES)
        return Step(
            tuple(collate(part).to(device) for part in understanding),
            tuple(_caption_flags(part).to(device) for part in understanding),
            tuple(collate(part).to(device) for part in _parts(drawings, LONG_PROMPTS)),
        )

    return data


def lesson_loss(module: nn.Module, step: Step) -> tuple[Tensor, dict[str, float]]:
    """2 x masked image tokens + caption tokens + 2 x answer tokens, each a mean over its targets, in nats."""
    assert isinstance(module, Transformer)
    losses: dict[str, list[Tensor]] = {"image": [], "caption": [], "answer": []}
    for batch, captions in zip(step.understanding, step.captions, strict=True):
        asked = batch.target != NOTHING
        logits = module.text_logits(module(batch.tokens, batch.place, batch.cell, batch.mask)[0][asked])
        told = F.cross_entropy(logits, batch.target[asked], reduction="none")
        losses["caption"].append(told[captions[asked]])
        losses["answer"].append(told[~captions[asked]])
    for batch in step.generation:
        asked = batch.target != NOTHING
        logits = module.image_logits(module(batch.tokens, batch.place, batch.cell, batch.mask)[0][asked])
        target = batch.target[asked] - module.shape.text
        losses["image"].append(F.cross_entropy(logits, target, reduction="none"))
    means = {name: torch.cat(parts).mean() for name, parts in losses.items()}
    total = torch.stack([WEIGHTS[name] * value for name, value in means.items()]).sum()
    return total, {name: value.item() for name, value in means.items()}


def train_tiny(out: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0) -> TinyModel:
    """Train hermes-tiny from nothing and save it in ``out/model``; ``scale`` shortens (or lengthens) both trainings.

    Logs are ``out/tokenizer/log.jsonl`` and ``out/transformer/log.jsonl``. The same call on the same machine goes on
    after an interruption and ends in the same weights.
    """
    folder = out / "transformer"
    folder.mkdir(parents=True, exist_ok=True)
    images = train_tokenizer(out / "tokenizer", seed, device, scale).requires_grad_(False)
    text = build_vocabulary()
    torch.manual_seed(derive_seed(seed, "transformer", "weights"))
    transformer = Transformer(Shape(text=len(text))).to(device)
    model = TinyModel(str(out), text, images, transformer)
    items = held_out("validation", WATCHED)

    def watch(_: int) -> dict[str, float]:
        scores = understanding(model, items)
        return {"U": scores["U"]} | generation(model, items)

    schedule = Schedule(steps=max(1, round(STEPS * scale)), learning_rate=LEARNING_RATE)
    fit(transformer, steps(text, images, seed, device), lesson_loss, schedule, folder, device, watch, WATCH_EVERY)
    model.save(out / "model", torch.float16)
    return model
