"""The state of an unfinished training in one safetensors file: weights, AdamW moments, step."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hermes.align.training.sharding import placed_like, trainable, whole
from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

if TYPE_CHECKING:
    from hermes.align.training.ema import MovingAverage

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    identity: str,
    average: "MovingAverage | None" = None,
) -> None:
    """Write the state after ``step`` steps in one step; ``identity`` says which training it belongs to.

    All processes must call it; the main one writes. Shards are put together, so that any number of processes can go on.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in trainable(module).items():
        tensors[f"weight/{name}"] = parameter.detach()
        for moment in MOMENTS:
            if moment in optimizer.state[parameter]:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
        if average:
            tensors[f"average/{name}"] = average.values[name]
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        value = whole(tensor)
        if current().main:
            plain[name] = value.cpu().contiguous()
    if current().main:
        write_atomic(path, save(plain, metadata={"step": str(step), "identity": identity}))


def load_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: str,
    average: "MovingAverage | None" = None,
) -> int:
    """Put the stored state into module, optimizer and average; returns the number of steps done, 0 for none stored.

    Raises HermesError where the file is of another training or unreadable.
    """
    if not path.exists():
        return 0
    remedy = f"remove {path} to train the round from its start"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != identity:
                raise HermesError(f"{path} belongs to a training with other settings or pairs; {remedy}")
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise HermesError(f"{path} cannot be read ({error}); {remedy}") from None
    with torch.no_grad():
        for name, parameter in trainable(module).items():
            parameter.copy_(placed_like(stored[f"weight/{name}"], parameter))
            if average:
                average.values[name].copy_(placed_like(stored[f"average/{name}"], parameter))
            moments = {m: stored[f"{m}/{name}"].clone() for m in MOMENTS if f"{m}/{name}" in stored}
            if moments:
                optimizer.state[parameter] = {
                    m: value if m == "step" else placed_like(value, parameter) for m, value in moments.items()
                }
    return int(metadata["step"])
