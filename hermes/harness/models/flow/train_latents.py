"""How the picture space of hermes-flow is learned: drawn scenes rebuilt from noisy latents."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hermes.harness.models.flow.latents import CHANNELS, LatentCoder
from hermes.harness.models.tiny.fit import Schedule, fit
from hermes.harness.models.tiny.tokenizer_image import SIDE, to_tensor
from hermes.harness.models.tiny.train_tokenizer import LEARNING_RATE, STEPS, batches, pixel_loss
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.progress import Progress
from hermes.shapes.draw import draw_batch
from hermes.shapes.scene import scenes

NOISE = 0.15
MEASURED = 2_000


def noisy_batches(seed: int, device: str) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Step -> images (B, 3, 48, 48) and the noise (B, 8, 6, 6) of their latents."""
    images = batches(seed, device)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        drawn = images(step)
        rng = np.random.default_rng(derive_seed(seed, "latents", step))
        noise = rng.standard_normal((len(drawn), CHANNELS, SIDE, SIDE), dtype=np.float32)
        return drawn, NOISE * torch.from_numpy(noise).to(device)

    return batch


def noisy_loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The tokeniser's loss, of images rebuilt from latents with noise."""
    assert isinstance(module, LatentCoder)
    images, noise = batch
    return pixel_loss(module.render(module.bounded(images) + noise), images)


def train_latents(
    folder: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0, progress: Progress | None = None
) -> LatentCoder:
    """Train (or go on training) in ``folder``; ``scale`` shortens the run."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(derive_seed(seed, "latents", "weights"))
    coder = LatentCoder().to(device)
    schedule = Schedule(steps=max(1, round(STEPS * scale)), learning_rate=LEARNING_RATE, weight_decay=0.001)
    data = noisy_batches(seed, device)
    fit(coder, data, noisy_loss, schedule, folder, device, progress=progress, label="image latents")
    measured = draw_batch(list(itertools.islice(scenes("train", seed, "latents"), MEASURED)))
    coder.normalise(to_tensor(measured).to(device))
    return coder
