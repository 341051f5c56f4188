"""What a training begins with: accelerate, the model's settings for it, and the name of its stored state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

from hermes.align.losses.likelihoods import PairBatches
from hermes.align.settings import TrainSettings
from hermes.harness.contracts.model import Alignable
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from accelerate import Accelerator

BESIDE = {"checkpoint_every", "checkpoint_minutes", "lora_half", "micro_batch", "checkpointing", "trackers"}
"""Settings that do not change what comes out."""


def new_accelerator(module: nn.Module) -> "Accelerator":
    """Accelerate, with the precision left to the settings: a launcher's must not come on top."""
    from accelerate import Accelerator

    return Accelerator(cpu=next(module.parameters()).device.type == "cpu", mixed_precision="no")


@contextmanager
def likelihood_settings(model: Alignable, settings: TrainSettings) -> Iterator[None]:
    """The model's number of masks, and whether it keeps activations, for as long as the training lasts.

    Raises HermesError for what the model does not offer.
    """
    if settings.masks and not hasattr(model, "masks"):
        raise HermesError("masks: the likelihood of this model's images has no masks; leave it out")
    recompute = getattr(model, "recompute_activations", None)
    if settings.checkpointing and recompute is None:
        raise HermesError("checkpointing: this model does not offer it; leave it out")
    before = getattr(model, "masks", None)
    if settings.masks:
        model.masks = settings.masks  # type: ignore[attr-defined]
    if settings.checkpointing and recompute is not None:
        recompute(True)
    try:
        yield
    finally:
        if settings.masks:
            model.masks = before  # type: ignore[attr-defined]
        if settings.checkpointing and recompute is not None:
            recompute(False)


def without_dropout(module: nn.Module) -> None:
    """Training mode with every dropout off: policy and reference must see the same network."""
    module.train()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def identity_of(batches: PairBatches, replayed: int, settings: TrainSettings) -> str:
    """Which training a stored state belongs to; ``replayed`` is how many items there are to replay."""
    digest = hashlib.sha256(settings.model_dump_json(exclude=BESIDE).encode())
    digest.update(batches.digests())
    digest.update(str(replayed).encode())
    return digest.hexdigest()[:16]
