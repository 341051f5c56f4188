"""How hermes-flow is trained from nothing: the picture space, then the transformer on the lessons of hermes-tiny."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hermes.harness.models.flow.adapter import FlowModel
from hermes.harness.models.flow.latents import CHANNELS, LatentCoder
from hermes.harness.models.flow.likelihood import times_at
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.flow.packing import Floats, FlowBatch, FlowRow, collate, drawn_row, seen_row
from hermes.harness.models.flow.train_latents import train_latents
from hermes.harness.models.noising import stratified
from hermes.harness.models.tiny.course import HARD, SCENES, Board, Course, Phase, teach
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS
from hermes.harness.models.tiny.tokenizer_text import build_vocabulary
from hermes.harness.models.tiny.transformer import Shape
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.disk import sync_tree
from hermes.harness.system.progress import Progress

LAYERS = 6
COPIES = 2
STEPS = 2_400
COURSE = Course(
    steps=STEPS,
    phases=(
        Phase(until=500 / STEPS, drawn=SCENES, plans=0, more=2),
        Phase(until=900 / STEPS, drawn=SCENES // 2, plans=0, more=4),
        Phase(until=1500 / STEPS, drawn=SCENES // 4, plans=0, more=0, hard=HARD),
        Phase(until=1.0, drawn=SCENES // 4, plans=40, more=0, hard=(*HARD, "relation")),
    ),
    weights={"image": 5.0, "caption": 1.0, "answer": 2.0, "plan": 1.0, "parts_seen": 0.5, "parts_drawn": 0.5},
)


def board_of(images: LatentCoder) -> Board:
    """Pictures as latents: two noised copies of a picture, and the mean squared error of their velocities."""

    def drawn(prompt: Sequence[int], latent: Floats, rng: np.random.Generator) -> FlowRow:
        noise = rng.standard_normal((COPIES, IMAGE_TOKENS, CHANNELS), dtype=np.float32)
        return drawn_row(prompt, latent, times_at(stratified(rng, COPIES)), noise)

    def states(model: FlowTransformer, batch: FlowBatch) -> tuple[list[Tensor], Any]:
        return model.states(batch.tokens, batch.place, batch.cell, batch.mask, batch.latent, batch.time)

    def loss(model: FlowTransformer, hidden: Tensor, batch: FlowBatch) -> Tensor:
        return (model.velocity(hidden) - batch.velocity[batch.asked]).square().mean(-1)

    return Board(
        encode=lambda pixels: list(images.encode(pixels).cpu().numpy()),
        seen=seen_row,
        drawn=drawn,
        collate=collate,
        states=states,
        loss=loss,
    )


def train_flow(
    out: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0, progress: Progress | None = None
) -> FlowModel:
    """Train hermes-flow from nothing and save it in ``out``; ``scale`` shortens (or lengthens) both trainings.

    Logs are ``out/tokenizer/log.jsonl`` and ``out/transformer/log.jsonl``. The same call on the same machine goes on
    after an interruption and ends in the same weights.
    """
    images = train_latents(out / "tokenizer", seed, device, scale, progress).requires_grad_(False)
    text = build_vocabulary()
    torch.manual_seed(derive_seed(seed, "transformer", "weights"))
    transformer = FlowTransformer(Shape(text=len(text), layers=LAYERS, codes=0)).to(device)
    model = FlowModel(str(out), text, images, transformer)
    teach(model, board_of(images), COURSE, out / "transformer", seed, device, scale, progress)
    model.save(out, torch.float16)
    sync_tree(out)
    return model
