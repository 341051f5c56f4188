"""A unified model small enough for tests: a table of token logits, trained in milliseconds."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.types import Ability, ModelInfo, Request
from hermes.shapes.captions import simple
from hermes.shapes.draw import draw
from hermes.shapes.scene import random_scene

VOCAB, CONTEXTS, LENGTH = 16, 8, 24


def hashed(text: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") % size


class Table(nn.Module):
    """log p(token at position | context) = log_softmax(position row + context row)."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.position = nn.Parameter(torch.randn(LENGTH, VOCAB, generator=generator))
        self.context = nn.Parameter(torch.randn(CONTEXTS, VOCAB, generator=generator))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = self.position[None] + self.context[batch["context"]][:, None]
        picked = self.dropout(logits).log_softmax(-1).gather(-1, batch["tokens"][..., None])[..., 0]
        return (picked * batch["mask"]).sum(-1), batch["mask"].sum(-1)


class FakeModel:
    """Alignable; texts are hashed words, images a grid of grey levels of which a seeded half is scored."""

    name: ClassVar[str] = "fake"
    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "1 k"
    description: ClassVar[str] = "a table of logits, for tests"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True
    world: ClassVar[str] = "shapes"
    info: ModelInfo
    module: nn.Module

    def __init__(self, module: Table | None = None) -> None:
        self.module = module or Table()
        digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in self.module.parameters()))
        self.info = ModelInfo(name="fake", fingerprint=digest.hexdigest()[:12], abilities=self.abilities)

    @classmethod
    def load(cls, reference: str, device: str) -> "FakeModel":
        table, weights = Table(), Path(reference) / "model.safetensors"
        if weights.exists():
            table.load_state_dict(load_file(weights))
        return cls(table)

    def understand(self, requests: Sequence[Request]) -> list[str]:
        answers = []
        for request in requests:
            rng = random.Random(request.seed + len(request.prompt))
            answers.append(simple(random_scene(rng), rng))
        return answers

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        return [draw(random_scene(random.Random(request.seed))) for request in requests]

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Any]:
        return [self._one(item) for item in items]

    def _one(self, item: LikelihoodItem) -> dict[str, Any]:
        if item.kind == "text":
            tokens = [hashed(word, VOCAB) for word in item.text.split()][:LENGTH]
        else:
            grey = np.asarray(item.image.open().convert("L").resize((4, 4)))
            tokens = [int(v) // (256 // VOCAB) for v in grey.flatten()]
        row = {"kind": item.kind, "context": hashed(item.prompt, CONTEXTS), "tokens": tokens}
        return row | {"mask": [1.0] * len(tokens)} if item.kind == "text" else self.with_seed(row, item.seed)

    def with_seed(self, prepared: Any, seed: int) -> Any:
        if prepared["kind"] == "text":
            return prepared
        rng = random.Random(seed)
        chosen = set(rng.sample(range(len(prepared["tokens"])), len(prepared["tokens"]) // 2))
        return prepared | {"mask": [float(k in chosen) for k in range(len(prepared["tokens"]))]}

    def collate(self, prepared: Sequence[Any]) -> dict[str, Tensor]:
        def padded(key: str) -> Tensor:
            return torch.tensor([row[key] + [0] * (LENGTH - len(row[key])) for row in prepared])

        context = torch.tensor([row["context"] for row in prepared])
        return {"context": context, "tokens": padded("tokens"), "mask": padded("mask").float()}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        save_file(self.module.state_dict(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"model_type": "fake"}))


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    """Random grey grids, 4 x 4 pixels."""
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)) for _ in range(count)]
