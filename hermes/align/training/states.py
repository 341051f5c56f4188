"""The states of an unfinished training, which all processes write and read together, each its own part.

A state is a folder named by its step, written by torch.distributed.checkpoint, so that any number of processes goes on
from it, with all weights in each or a shard in each. It has its name when all of it is on the disk, and only then is
the one before it removed.
"""

import pickle
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hermes.align.training.optimizers import set_rate
from hermes.align.training.sharding import local, trainable, with_local
from hermes.harness.system.disk import make_folder, read_json, sync_folder, write_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

if TYPE_CHECKING:
    from torch.distributed.checkpoint.metadata import Metadata

    from hermes.align.training.ema import MovingAverage

FOLDER = "states"
ABOUT = "state.json"
OLD = "state.safetensors"
"""What versions wrote that kept all of a state in one file."""
NAMED = {
    "torch": ("Size",),
    "torch.serialization": ("_get_layout",),
    "torch.distributed.checkpoint.metadata": (
        *("Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex"),
        *("StorageMeta", "_MEM_FORMAT_ENCODING"),
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "pathlib": ("PosixPath", "WindowsPath"),
}
"""What the description of a state's tensors may be made of, by module."""


class States:
    """The states below a training's folder. ``identity`` says which training they must belong to."""

    def __init__(self, training: Path, identity: str) -> None:
        self.folder, self.identity = training / FOLDER, identity
        self._writing: Future[Any] | None = None
        if (old := training / OLD).exists():
            raise HermesError(
                f"{old} is the state of a training by an older version of Hermes, which alone can go on from it; "
                "remove it to train the round from its start"
            )

    def done(self) -> int:
        """How many steps the last state has behind it, 0 for none. Raises HermesError for one of another training."""
        steps = [int(path.name) for path in self.folder.glob("*") if path.name.isdigit()]
        if not steps:
            return 0
        about = read_json(self._place(max(steps)) / ABOUT, self._remedy())
        if about.get("identity") != self.identity:
            raise HermesError(f"{self.folder} belongs to a training with other settings or pairs; {self._remedy()}")
        return max(steps)

    def save(
        self,
        step: int,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: "MovingAverage | None" = None,
        behind: bool = False,
    ) -> None:
        """Write the state after ``step`` steps; with ``behind``, from a copy in the CPU's memory, while steps go on.

        All processes must call it. Tensors that all have are divided between them.
        """
        from torch.distributed.checkpoint.filesystem import FileSystemWriter
        from torch.distributed.checkpoint.state_dict_saver import async_save
        from torch.distributed.checkpoint.state_dict_saver import save as save_now

        self.wait()
        part = self.folder / f"{step}.part"
        if current().main:
            shutil.rmtree(part, ignore_errors=True)
            make_folder(part)
            write_json(part / ABOUT, {"step": step, "identity": self.identity})
        current().wait()  # or another's part of the state would be removed with what was there before
        tensors = {name: _as_stored(value) for name, value in _tensors(module, optimizer, average).items()}
        write = async_save if behind else save_now
        with _quietly():
            written: Any = write(tensors, storage_writer=FileSystemWriter(part), **_together())
        if not behind:
            self._place_it(part, step)
            return
        placed: Future[Any] = Future()
        self._writing = placed

        def place(future: "Future[Any]") -> None:
            try:
                future.result()
                self._place_it(part, step)
            except BaseException as error:
                placed.set_exception(error)
            else:
                placed.set_result(None)

        # Who waits is told after that, not when the bytes are written.
        written.add_done_callback(place)

    def wait(self) -> None:
        """Return when what is being written is on the disk. Raises what kept it from being written."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def load(
        self,
        step: int,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: "MovingAverage | None" = None,
    ) -> None:
        """Put the state after ``step`` steps into module, optimizer and average; all processes must call it.

        Each tensor is read into its place, one part at a time. Raises HermesError where the state cannot be read.
        """
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.state_dict_loader import load

        try:
            reader = reader_of(self._place(step))
            stored = reader.read_metadata().state_dict_metadata
            _begin(module, optimizer, stored)
            found = _tensors(module, optimizer, average)
            read = {name: _as_stored(value) for name, value in found.items()}
            with _quietly():
                load(read, storage_reader=reader, **_together())
        except (CheckpointException, OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            said = " ".join(str(error).split())[-200:]
            raise HermesError(f"{self._place(step)} cannot be read ({said}); {self._remedy()}") from None
        with torch.no_grad():
            for name, value in found.items():
                if _packed(value):
                    local(value).copy_(local(read[name]))

    def _place(self, step: int) -> Path:
        return self.folder / str(step)

    def _place_it(self, part: Path, step: int) -> None:
        """Give a whole state its name, then remove what was there before."""
        if not current().main:
            return
        place = self._place(step)
        shutil.rmtree(place, ignore_errors=True)
        sync_folder(part)
        part.rename(place)
        sync_folder(self.folder)
        for path in self.folder.iterdir():
            if path != place:
                shutil.rmtree(path, ignore_errors=True)

    def _remedy(self) -> str:
        return f"remove {self.folder} to train the round from its start"


def forget_states(training: Path) -> None:
    """Remove what a training would go on from."""
    (training / OLD).unlink(missing_ok=True)
    if (folder := training / FOLDER).exists():
        shutil.rmtree(folder)
        sync_folder(training)


def _as_stored(tensor: Tensor) -> Tensor:
    """The tensor itself, or, of moments in 8 bits, what they stand for: other shards would cut their blocks."""
    return with_local(tensor, local(tensor).float()) if _packed(tensor) else tensor.detach()


def _packed(tensor: Tensor) -> bool:
    return type(local(tensor)) not in (Tensor, nn.Parameter)


def _tensors(module: nn.Module, optimizer: torch.optim.Optimizer, average: "MovingAverage | None") -> dict[str, Tensor]:
    """All that a state holds, by name: weights, what the optimizer keeps of each, their averages."""
    tensors: dict[str, Tensor] = {}
    for name, weight in trainable(module).items():
        tensors[f"weight/{name}"] = weight
        tensors |= {f"{moment}/{name}": value for moment, value in optimizer.state.get(weight, {}).items()}
        if average:
            tensors[f"average/{name}"] = average.values[name]
    return tensors


def _begin(module: nn.Module, optimizer: torch.optim.Optimizer, stored: Mapping[str, Any]) -> None:
    """Have the optimizer make what it keeps of those weights that it had moved: a step of rate 0 does, and no more."""
    for name, weight in trainable(module).items():
        if f"exp_avg/{name}" in stored:
            weight.grad = torch.zeros_like(weight)
    set_rate(optimizer, 0.0)
    optimizer.step()
    optimizer.zero_grad()


def _together() -> dict[str, Any]:
    return {"process_group": _group(), "no_dist": current().world == 1}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warning that there is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


@cache
def _group() -> Any:
    """All processes by their CPUs: states are written while the devices' group is at work."""
    return None if current().world == 1 else torch.distributed.new_group(backend="gloo")


def reader_of(folder: Path) -> Any:
    """What reads the tensors of a state."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    class Reader(FileSystemReader):
        """Reads what describes the tensors without running code; these themselves torch reads in that way."""

        def read_metadata(self, *args: Any, **kwargs: Any) -> "Metadata":
            with (folder / ".metadata").open("rb") as file:
                metadata: Metadata = _Descriptions(file).load()
            metadata.storage_meta.load_id = self.load_id  # type: ignore[union-attr]
            return metadata

    return Reader(folder)


class _Descriptions(pickle.Unpickler):
    """Of all that a pickle may name, the records in which torch.distributed.checkpoint describes tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if name in NAMED.get(module.split("._")[0], ()) or (
            module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
