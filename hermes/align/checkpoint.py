"""The state of an unfinished training in one safetensors file: weights, AdamW moments, step."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hermes.harness.errors import HermesError
from hermes.harness.store import write_atomic

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by name; shared ones once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int, identity: str) -> None:
    """Write the state after ``step`` steps in one go; ``identity`` says which training it belongs to."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in trainable(module).items():
        tensors[f"weight/{name}"] = parameter.detach()
        for moment in MOMENTS:
            if moment in optimizer.state[parameter]:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(plain, metadata={"step": str(step), "identity": identity}))


def load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Put the stored state into module and optimizer; returns the number of steps done, 0 where nothing is stored.

    Raises HermesError where the file is of another training or unreadable.
    """
    if not path.exists():
        return 0
    remedy = f"remove {path} to train the round from its start"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            if metadata.get("identity") != identity:
                raise HermesError(f"{path} belongs to a training with other settings or pairs; {remedy}")
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise HermesError(f"{path} cannot be read ({error}); {remedy}") from None
    with torch.no_grad():
        for name, parameter in trainable(module).items():
            parameter.copy_(stored[f"weight/{name}"])
            moments = {m: stored[f"{m}/{name}"].clone() for m in MOMENTS if f"{m}/{name}" in stored}
            if moments:
                optimizer.state[parameter] = {
                    m: value if m == "step" else value.to(parameter.device) for m, value in moments.items()
                }
    return int(metadata["step"])
