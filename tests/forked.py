"""Several processes without a launcher: forks of this one, which has torch in memory already."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import torch
import torch.distributed.checkpoint
import torch.distributed.fsdp  # so that no fork imports it again
from torch import Tensor


def on_processes(world: int, work: Callable[..., Any], *args: Any, well: bool = True) -> None:
    """Call ``work(*args)`` in so many processes that share a gloo group; all must end, and well if ``well``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_one, args=(rank, world, port, work, args)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.is_alive():
            process.kill()
    assert None not in codes
    assert not well or codes == [0] * world


def shard_on_cpu(reshard: bool) -> None:
    """From now on accelerate shards over the processes of this run."""
    from accelerate.state import AcceleratorState, DistributedType, PartialState
    from accelerate.utils import FullyShardedDataParallelPlugin

    accelerate.Accelerator(cpu=True)
    PartialState().distributed_type = DistributedType.FSDP
    AcceleratorState(_from_accelerator=True).fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, reshard_after_forward=reshard
    )


def stored(training: Path) -> dict[str, Tensor]:
    """The tensors, whole, of the one state that a training has left."""
    from hermes.align.training import states

    (folder,) = (training / states.FOLDER).iterdir()
    reader = states.reader_of(folder)
    found = {
        name: torch.empty(about.size, dtype=about.properties.dtype)
        for name, about in reader.read_metadata().state_dict_metadata.items()
    }
    torch.distributed.checkpoint.load(found, storage_reader=reader, no_dist=True)
    return found


def _one(rank: int, world: int, port: int, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    from accelerate.state import AcceleratorState

    from hermes.harness.system.processes import current, part

    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "CUDA_VISIBLE_DEVICES": "", "LOCAL_WORLD_SIZE": str(world)}
    AcceleratorState._reset_state(reset_partial_state=True)
    current.cache_clear()
    work(*args)
    part()
