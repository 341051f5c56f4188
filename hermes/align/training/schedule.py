"""What every step of a training sees, and its learning rate: all from the seed and the settings alone."""

import math
from dataclasses import dataclass

import torch

from hermes.align.settings import TrainSettings
from hermes.harness.records.seeds import derive_seed


@dataclass(frozen=True)
class Step:
    """What one optimizer step sees: pairs of one epoch, and replay items, by index."""

    epoch: int
    pairs: tuple[int, ...]
    replay: tuple[int, ...]


def plan(pairs: int, replay: int, settings: TrainSettings) -> list[Step]:
    """All steps of a training, from the seed alone: each epoch in a new order, replay items in turn."""
    steps: list[Step] = []
    for epoch in range(epochs(pairs, settings)):
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, epoch, "order"))
        order = torch.randperm(pairs, generator=generator).tolist()
        for begin in range(0, pairs, settings.batch_size):
            first = len(steps) * settings.replay_batch
            items = tuple((first + k) % replay for k in range(settings.replay_batch)) if replay else ()
            steps.append(Step(epoch, tuple(order[begin : begin + settings.batch_size]), items))
    return steps[: settings.steps]


def epochs(pairs: int, settings: TrainSettings) -> int:
    """How many passes over the pairs there are: as ``settings.epochs`` says, or as ``settings.steps`` needs."""
    if settings.steps is None:
        return settings.epochs
    return -(-settings.steps // -(-pairs // settings.batch_size))


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Linear warm-up over a share ``warmup`` of the steps, then a cosine to zero."""
    warm = max(1, round(settings.warmup * steps))
    if step < warm:
        return settings.lr * (step + 1) / warm
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
