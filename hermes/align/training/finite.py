"""A training stops at the first number that is not finite, before it touches the weights; in every process at once."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.align.losses.likelihoods import SLOTS
from hermes.align.losses.shelf import forget_shelves
from hermes.align.settings import TrainSettings
from hermes.align.training.sharding import local, trainable
from hermes.align.training.states import forget_states
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

NAMES = {"loss": "the loss", "grad_norm": "the gradient"}
AGAIN = "and run the command again, which goes on in the same folder"


def refuse_not_finite(figures: Mapping[str, Any], number: int, total: int, settings: TrainSettings) -> None:
    """Raise HermesError for a step's figures, which are those of all processes, unless each is a finite number."""
    wrong = [name for name, value in figures.items() if isinstance(value, float) and not math.isfinite(value)]
    if not wrong:
        return
    first = min(wrong, key=lambda name: (name not in NAMES, list(figures).index(name)))
    raise HermesError(
        f"training stopped at step {number + 1} of {total}: {NAMES.get(first, first)} is {figures[first]}, and no "
        f"checkpoint was written; {_advice(number, settings)} {AGAIN}"
    )


def refuse_lost_weights(module: nn.Module, settings: TrainSettings) -> None:
    """Raise HermesError where the last step has left a weight that is not finite; all processes call."""
    lost = [name for name, value in trainable(module).items() if not _finite(value.detach())]
    if current().total(len(lost)):
        named = f", such as {lost[0]}" if lost else ""
        raise HermesError(
            f"training stopped after its last step: weights are not finite{named}, and no checkpoint was written; "
            f"{_advice(1, settings)} {AGAIN}"
        )


def refuse_lost_reference(table: Tensor, ids: list[str]) -> None:
    """Raise HermesError for a pair whose reference log-probability, in (epochs, 4, pairs), is not finite."""
    found = (~torch.isfinite(table)).nonzero()
    if len(found):
        epoch, slot, row = found[0].tolist()
        raise HermesError(
            f"training did not start: the reference's log-probability of pair {ids[row]} ({SLOTS[slot]}) is "
            f"{float(table[epoch, slot, row])}; check the model's weights, or give --no-bf16, {AGAIN}"
        )


def impossible(error: RuntimeError, number: int, settings: TrainSettings) -> Exception:
    """What to raise where the optimizer failed: in one line where the rate is more than a weight can hold."""
    if "overflow" not in str(error):
        return error
    return HermesError(f"training stopped: step {number + 1} cannot be taken ({error}); {_advice(1, settings)} {AGAIN}")


def forget(folder: Path) -> None:
    """Remove what a training that went wrong would go on from."""
    forget_states(folder)
    forget_shelves(folder)
    (folder / "train.jsonl").unlink(missing_ok=True)


def _advice(number: int, settings: TrainSettings) -> str:
    """What to change: from the second step on it is the steps that were too large."""
    bf16 = "" if settings.bf16 is False else " or give --no-bf16"
    if number:
        return f"lower --lr (it is {settings.lr:g}){bf16},"
    return f"check the model's weights, lower --beta-und and --beta-gen{bf16},"


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(local(value)).all())
