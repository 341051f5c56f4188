"""How hermes-tiny is trained from nothing: the image tokeniser, then the transformer on lessons of the shapes world."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.models.tiny.course import HARD, SCENES, Board, Course, Phase, teach
from hermes.harness.models.tiny.packing import Batch, collate, cosine_mask, generation_row, understanding_row
from hermes.harness.models.tiny.tokenizer_image import ImageTokenizer
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer, build_vocabulary
from hermes.harness.models.tiny.train_tokenizer import train_tokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.disk import sync_tree
from hermes.harness.system.progress import Progress

STEPS = 2_400
COURSE = Course(
    steps=STEPS,
    phases=(
        Phase(until=400 / STEPS, drawn=SCENES, plans=0, more=2),
        Phase(until=900 / STEPS, drawn=SCENES // 4, plans=0, more=4),
        Phase(until=1500 / STEPS, drawn=SCENES * 3 // 16, plans=0, more=0, hard=HARD),
        Phase(until=1.0, drawn=SCENES * 3 // 16, plans=40, more=0, hard=(*HARD, "relation")),
    ),
    weights={"image": 2.0, "caption": 1.0, "answer": 2.0, "plan": 1.0, "parts_seen": 0.5, "parts_drawn": 0.5},
)


def board_of(images: ImageTokenizer, text: TextTokenizer) -> Board:
    """Pictures as codes: one mask a picture, and the cross-entropy of its hidden codes in nats."""

    def states(model: Transformer, batch: Batch) -> tuple[list[Tensor], Any]:
        return model.states(batch.tokens, batch.place, batch.cell, batch.mask)

    def loss(model: Transformer, hidden: Tensor, batch: Batch) -> Tensor:
        target = batch.target[batch.asked] - model.shape.text
        return F.cross_entropy(model.image_logits(hidden), target, reduction="none")

    return Board(
        encode=lambda pixels: list(images.encode(pixels).cpu().numpy() + len(text)),
        seen=understanding_row,
        drawn=lambda prompt, picture, noise: generation_row(prompt, picture, [cosine_mask(noise)]),
        collate=collate,
        states=states,
        loss=loss,
    )


def train_tiny(
    out: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0, progress: Progress | None = None
) -> TinyModel:
    """Train hermes-tiny from nothing and save it in ``out``; ``scale`` shortens (or lengthens) both trainings.

    Logs are ``out/tokenizer/log.jsonl`` and ``out/transformer/log.jsonl``. The same call on the same machine goes on
    after an interruption and ends in the same weights.
    """
    images = train_tokenizer(out / "tokenizer", seed, device, scale, progress).requires_grad_(False)
    text = build_vocabulary()
    torch.manual_seed(derive_seed(seed, "transformer", "weights"))
    model = TinyModel(str(out), text, images, Transformer(Shape(text=len(text))).to(device))
    teach(model, board_of(images, text), COURSE, out / "transformer", seed, device, scale, progress)
    model.save(out, torch.float16)
    sync_tree(out)
    return model
