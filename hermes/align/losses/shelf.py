"""Prepared items on the disk: made once, by all processes together, and read where a step needs them."""

import pickle
import secrets
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hermes.harness.system.disk import make_folder
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.sharing import Sharing

T = TypeVar("T")
PREPARED, REPLAYED = "pairs", "replay"
"""What there are shelves of."""
HELD = 16
"""Things that are kept when they have been read: a micro-batch of pairs, each of which is asked for once a slot."""
TOGETHER = 16
"""Things that are prepared in one call."""
ROW = np.dtype([("place", "i8"), ("start", "i8"), ("length", "i8"), ("flags", "u1"), ("digest", "S16")])


class Made(NamedTuple):
    """One thing, ready; what is known of it without reading it: ``flags``, eight bits, and ``digest``, 16 bytes."""

    ready: Any
    flags: int = 0
    digest: bytes = b""


def forget_shelves(parent: Path, names: Sequence[str] = (PREPARED, REPLAYED)) -> None:
    """Remove the shelves of these names."""
    for name in names:
        for old in parent.glob(f"{name}-*"):
            shutil.rmtree(old)


class Shelf:
    """What ``make`` makes of ``things``, by place. All processes must make one; each makes its share of it.

    It lies in a folder of its own below ``parent`` that nobody else can have written to, as what is read is pickled.
    """

    def __init__(
        self,
        parent: Path,
        name: str,
        things: Sequence[T],
        make: Callable[[Sequence[T]], Sequence[Made]],
        progress: Progress | None = None,
    ) -> None:
        progress, processes = progress or Silent(), current()
        self.folder = parent / f"{name}-{processes.gathered([secrets.token_hex(8)])[0]}"
        if processes.main:
            forget_shelves(parent, [name])  # of a command that was killed
            make_folder(self.folder)
        processes.wait()
        rows: list[tuple[int, int, int, int, bytes]] = []
        if things:
            progress.start(f"prepare {name}", len(things))
        work = Sharing(enumerate(things), TOGETHER, f"preparing {name}")
        with self._file(processes.rank).open("xb") as file:
            for part in work:
                made = make([thing for _, thing in part])
                for (place, _), one in zip(part, made, strict=True):
                    start = file.tell()
                    pickle.dump(one.ready, file, protocol=5)
                    rows.append((place, start, file.tell() - start, one.flags, one.digest))
                progress.advance(work.did(len(part)))
        progress.advance(work.did(0))
        np.save(self._file(processes.rank).with_suffix(".npy"), np.array(rows, ROW))
        processes.wait()
        self._of = np.zeros(len(things), ROW)
        self._by = np.zeros(len(things), "i4")
        for rank in range(processes.world):
            found = np.load(self._file(rank).with_suffix(".npy"))
            self._of[found["place"]], self._by[found["place"]] = found, rank
        self._files: dict[int, Any] = {}
        self._read = lru_cache(HELD)(self._read_from_disk)

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, place: int) -> Any:
        return self._read(place)

    def flags(self, place: int) -> int:
        return int(self._of[place]["flags"])

    def digests(self) -> bytes:
        """Those of all things, in their order."""
        return self._of["digest"].tobytes()

    def remove(self) -> None:
        """Give back the space; all processes must call."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._read.cache_clear()
        current().wait()
        if current().main:
            shutil.rmtree(self.folder)

    def _read_from_disk(self, place: int) -> Any:
        rank, row = int(self._by[place]), self._of[place]
        if rank not in self._files:
            self._files[rank] = self._file(rank).open("rb")
        self._files[rank].seek(int(row["start"]))
        return pickle.loads(self._files[rank].read(int(row["length"])))

    def _file(self, rank: int) -> Path:
        return self.folder / f"{rank}.pickle"
