"""Training with the weights sharded over the processes (FSDP2): what is sharded, and whole tensors from shards.

A model keeps its own module, which stays as it is. What is sharded is a second module around the same weights; the
first one's weights are let go of while it trains and come back, whole, in every process, when it ends.
"""

import copy

import torch
from torch import Tensor, nn


def same_weights(module: nn.Module) -> nn.Module:
    """A copy of the module that holds the very parameters and buffers of the module."""
    return copy.deepcopy(module, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})


def blocks(module: nn.Module) -> list[nn.Module]:
    """The trained layers that make up a network: what the innermost lists hold, if it has parts and trained weights.

    These alone take part in every pass of every process. What is frozen, such as a vision encoder, may be passed over.
    """
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    inner = [part for part in lists if not any(isinstance(deep, nn.ModuleList) for deep in list(part.modules())[1:])]
    return [block for part in inner for block in part if _has_parts(block) and _trained(block)]


def _has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _trained(module: nn.Module) -> bool:
    return any(weight.requires_grad for weight in module.parameters())


def shard(module: nn.Module, reshard: bool) -> None:
    """Shard the module over all processes; its parameters are DTensors then.

    Each block is gathered where it is passed, and let go of after it unless ``reshard`` is False; what is in no block
    is gathered once for the whole pass. Accelerate itself would choose by class, also frozen layers, and find an
    optimizer's weights by address, which empty shards share.
    """
    from torch.distributed.fsdp import fully_shard

    for block in blocks(module):
        fully_shard(block, reshard_after_forward=reshard)
    fully_shard(module)


def release(module: nn.Module) -> None:
    """Let go of the module's weights; `restore` brings them back."""
    for weight in module.parameters():
        weight.data = weight.data.new_empty(0)


@torch.no_grad()
def restore(module: nn.Module, sharded: nn.Module) -> None:
    """Write the sharded module's weights into the module; all processes must call."""
    shards = dict(sharded.named_parameters())
    for name, weight in module.named_parameters():
        value = whole(shards[name])
        weight.data = torch.empty_like(value, device=weight.device)
        # Not by .data, which would hide the change from code that counts a tensor's versions.
        weight.copy_(value)


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself; of a shard the whole tensor, for which all processes must call."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """The tensor itself; of a shard what is here."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def with_local(tensor: Tensor, here: Tensor) -> Tensor:
    """A tensor that is placed like this one, with other content here."""
    from torch.distributed.tensor import DTensor

    if not isinstance(tensor, DTensor):
        return here
    mesh, places = tensor.device_mesh, tensor.placements
    return DTensor.from_local(here, mesh, places, run_check=False, shape=tensor.shape, stride=tensor.stride())


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by name; shared ones once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
