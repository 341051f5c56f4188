"""How the image tokeniser is trained: reconstruct drawn scenes, objects and edges weighing more than background."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.tiny.fit import Schedule, fit
from hermes.harness.models.tiny.tokenizer_image import ImageTokenizer, to_tensor
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.progress import Progress
from hermes.shapes.draw import BACKGROUND, draw_batch
from hermes.shapes.scene import scenes

BATCH = 64
POOL = 24_000
STEPS = 3_200
LEARNING_RATE = 2.5e-3
FOREGROUND = 30 / 255
OBJECT_WEIGHT = 2.0


def reconstruction_loss(module: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, float]]:
    """How far what the tokeniser makes of images (B, 3, 48, 48) is from them."""
    return pixel_loss(module(images), images)


def pixel_loss(made: Tensor, images: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Weighted L1 and L2 of pixels and L1 of horizontal and vertical differences.

    A foreground pixel weighs the more, the less foreground is near it (20 x 20 pixels), so that small objects count
    as much as large ones.
    """
    made = made.float()
    background = torch.tensor(BACKGROUND, device=images.device)[:, None, None] / 255
    foreground = ((images - background).abs().amax(1, keepdim=True) > FOREGROUND).float()
    near = F.avg_pool2d(F.avg_pool2d(foreground, 4), 5, 1, 2)
    crowd = F.interpolate(near, scale_factor=4)
    weight = 1 + OBJECT_WEIGHT * F.max_pool2d(foreground, 3, 1, 1) / (0.1 + crowd)
    error = made - images
    pixel = (weight * (error.abs() + 4 * error.square())).mean()
    across = (weight[..., 1:] * error.diff(dim=-1).abs()).mean()
    down = (weight[..., 1:, :] * error.diff(dim=-2).abs()).mean()
    return pixel + across + down, {"l1": error.detach().abs().mean().item()}


def batches(seed: int, device: str) -> Callable[[int], Tensor]:
    """Step -> (BATCH, 3, 48, 48), drawn with replacement from a pool of training scenes."""
    pool = draw_batch(list(itertools.islice(scenes("train", seed, "tokenizer"), POOL)))

    def batch(step: int) -> Tensor:
        chosen = np.random.default_rng(derive_seed(seed, "tokenizer", step)).integers(0, POOL, BATCH)
        return to_tensor(pool[chosen]).to(device)

    return batch


def train_tokenizer(
    folder: Path, seed: int = 0, device: str = "cpu", scale: float = 1.0, progress: Progress | None = None
) -> ImageTokenizer:
    """Train (or go on training) in ``folder``; ``scale`` shortens the run."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(derive_seed(seed, "tokenizer", "weights"))
    tokenizer = ImageTokenizer().to(device)
    schedule = Schedule(steps=max(1, round(STEPS * scale)), learning_rate=LEARNING_RATE, weight_decay=0.001)
    data = batches(seed, device)
    fit(tokenizer, data, reconstruction_loss, schedule, folder, device, progress=progress, label="image tokeniser")
    return tokenizer
