"""Whether a checkpoint fits: what it would take of disk and memory, asked before anything is loaded."""

import shutil
import struct
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.source import Source
from hermes.harness.models.trained import WEIGHTS, is_step, is_weights
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_value

STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
UNITS = ("bytes", "KB", "MB", "GB", "TB")


def check_room(sources: Sequence[Source], device: str, options: LoadOptions, name: str) -> int:
    """Bytes that the weights of the sources take in memory, 0 where unknown.

    Raises HermesError where the disk is too small for the download, or memory for the weights in their precision.
    """
    needed = _weight_bytes(sources, device, options)
    if not needed:
        return 0
    free, where = free_memory(device, options)
    if needed > free:
        raise HermesError(
            f"model {name!r} needs {sized(needed)} for its weights, {where} has {sized(free)} free; "
            "use --dtype bfloat16, --device-map auto or a smaller model"
        )
    return needed


def sized(count: float) -> str:
    """ "2.9 GB", "3.1 MB", "12.0 KB", "7 bytes"."""
    place = 0
    while count >= 1000 and place < len(UNITS) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.1f} {UNITS[place]}" if place else f"{count:.0f} {UNITS[0]}"


def _weight_bytes(sources: Sequence[Source], device: str, options: LoadOptions) -> int:
    width = BYTES["bfloat16" if device.startswith("cuda") else "float32"]
    if options.dtype != "auto":
        width = BYTES[options.dtype]
    return sum(
        folder_bytes(Path(source.name), width) if source.local else _hub_bytes(source, width) for source in sources
    )


def folder_bytes(folder: Path, width: int) -> int:
    """Bytes of a folder's weights in memory with ``width`` bytes a number; of pickles, their size on disk.

    Where a folder holds both kinds, or whole and sharded files, safetensors count, and of those the shards. What
    a training left beside the weights, and its steps in folders below, do not count.
    """
    total = 0
    found = [path for path in folder.rglob("*") if is_weights(path)]
    for home in {path.parent for path in found if not any(map(is_step, path.relative_to(folder).parents))}:
        files = [path for path in home.iterdir() if is_weights(path)]
        safe = [path for path in files if path.suffix == ".safetensors" and ".fp16." not in path.name]
        shards = [path for path in safe if "-of-" in path.name]
        total += sum(_loaded(path, width) for path in shards or safe) if safe else sum(p.stat().st_size for p in files)
    return total


def _loaded(path: Path, width: int) -> int:
    """A safetensors file's numbers times ``width``, from its header; a torn one is the loader's to report."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json_value(file.read(min(length, 1 << 27)))
        sizes = [
            (entry["data_offsets"][1] - entry["data_offsets"][0], entry["dtype"])
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, struct.error, AttributeError, LookupError, TypeError):
        return 0
    return sum(size // STORED[kind] * width if kind in STORED else size for size, kind in sizes)


def _hub_bytes(source: Source, width: int) -> int:
    """Bytes of a hub model's weights as they are stored; also checks the disk for what is not yet downloaded."""
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE

    if hub.unreachable():
        return 0  # Only what is in the hub's cache can be loaded, and loading says what is missing there.
    try:
        told = huggingface_hub.HfApi().model_info(source.name, revision=source.revision, files_metadata=True)
    except Exception:
        return 0  # Loading says what is wrong.
    sizes = {
        file.rfilename: file.size or 0
        for file in told.siblings or ()
        if not source.only or any(fnmatch(file.rfilename, pattern) for pattern in source.only)
    }
    safe = {name: size for name, size in sizes.items() if name.endswith(".safetensors") and ".fp16." not in name}
    wanted = safe or {name: size for name, size in sizes.items() if name.endswith(WEIGHTS)}
    sharded = {name.rpartition("/")[0] for name in wanted if "-of-" in name}
    wanted = {n: size for n, size in wanted.items() if "-of-" in n or n.rpartition("/")[0] not in sharded}
    missing = sum(
        size
        for name, size in wanted.items()
        if not isinstance(huggingface_hub.try_to_load_from_cache(source.name, name, revision=told.sha), str)
    )
    cache = Path(HF_HUB_CACHE)
    free = shutil.disk_usage(next(path for path in (cache, *cache.parents) if path.exists())).free
    if missing > free:
        raise HermesError(
            f"{source.name} would download {sized(missing)}, {cache} has {sized(free)} free; "
            "make room or set HF_HOME to a larger disk"
        )
    numbers = told.safetensors.total if told.safetensors and not source.only else None
    return int(numbers * width) if numbers else sum(wanted.values())


def free_memory(device: str, options: LoadOptions) -> tuple[int, str]:
    """Bytes that are free where the weights go, and where that is."""
    import psutil

    free = int(psutil.virtual_memory().available)
    if not device.startswith("cuda"):
        return free, "this machine"
    import torch

    if options.device_map:
        cards = sum(torch.cuda.mem_get_info(card)[0] for card in range(torch.cuda.device_count()))
        return cards + free, "this machine with its GPUs"
    return torch.cuda.mem_get_info(torch.device(device))[0], device
