"""A disk as it stands after some operations, and what of them a power cut leaves."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

ROOT = 0
Tree = dict[str, bytes | None]
"""Path to content, None for a folder."""


@dataclass(frozen=True)
class Op:
    """One operation on a file or folder, which ``node`` numbers; ``path`` is its name at that time, for people.

    "name" and "gone" enter and remove ``name`` in the folder ``node``, "move" is both in one step; "write" and "size"
    change the content of the file ``node``; "sync" waits for all that was done to ``node`` before.
    """

    kind: Literal["name", "gone", "move", "write", "size", "sync"]
    node: int
    path: str
    name: str = ""
    child: int = ROOT
    old: tuple[int, str] = (ROOT, "")
    offset: int = 0
    data: bytes = b""


@dataclass
class Image:
    """The names in every folder and the bytes of every file, by number."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytes] = field(default_factory=dict)

    def apply(self, op: Op) -> None:
        if op.kind == "write":
            before = self.files[op.node].ljust(op.offset, b"\0")
            after = before[op.offset + len(op.data) :]
            self.files[op.node] = before[: op.offset] + op.data + after if before else op.data
        elif op.kind == "size":
            self.files[op.node] = self.files[op.node][: op.offset].ljust(op.offset, b"\0")
        elif op.kind == "gone":
            self.folders[op.node].pop(op.name, None)
        elif op.kind in ("name", "move"):
            folder, name = op.old
            if op.kind == "move" and self.folders[folder].get(name) == op.child:
                del self.folders[folder][name]
            self.folders[op.node][op.name] = op.child

    def born(self, number: int, is_folder: bool) -> None:
        """A new file or folder, without a name yet."""
        if is_folder:
            self.folders[number] = {}
        else:
            self.files[number] = b""

    def walk(self, folder: int = ROOT, above: str = "") -> Iterator[tuple[str, int]]:
        """The path and number of everything that has a name."""
        for name, child in sorted(self.folders[folder].items()):
            yield above + name, child
            if child in self.folders:
                yield from self.walk(child, f"{above}{name}/")

    def tree(self) -> Tree:
        return {path: None if child in self.folders else self.files[child] for path, child in self.walk()}


Choice = Callable[[Op], Iterable[Op]]
"""What is left of an operation that nothing waited for."""


def lost(op: Op) -> Iterable[Op]:
    """Nothing."""
    return ()


def whole(op: Op) -> Iterable[Op]:
    """All of it: the machine stays up, the process alone is killed."""
    return (op,)


def named(op: Op) -> Iterable[Op]:
    """Names and sizes, but no data: files that are empty or were shortened."""
    return () if op.kind == "write" else (op,)


def zeros(op: Op) -> Iterable[Op]:
    """Names and sizes, and zeros where data should be."""
    return (replace(op, data=bytes(len(op.data))),)


def torn(op: Op) -> Iterable[Op]:
    """Names, and the first half of the data."""
    return (replace(op, data=op.data[: len(op.data) // 2]),)


def holed(op: Op) -> Iterable[Op]:
    """Names, and the second half of the data behind zeros."""
    half = len(op.data) // 2
    return (replace(op, data=bytes(half) + op.data[half:]),)


def mixed(seed: int) -> Choice:
    """For each operation something else."""
    rng = random.Random(seed)

    def choose(op: Op) -> Iterable[Op]:
        return rng.choice((lost, whole, zeros, torn, holed))(op)

    return choose


def after_cut(done: Sequence[Op], kinds: dict[int, bool], choose: Choice) -> Image:
    """The disk when the power fails after the operations ``done``; ``kinds`` says which numbers are folders.

    What a sync waited for is there, whether the rest is says ``choose``.
    """
    synced = {op.node: place for place, op in enumerate(done) if op.kind == "sync"}
    image = Image()
    for number, is_folder in kinds.items():
        image.born(number, is_folder)
    for place, op in enumerate(done):
        for left in (op,) if place < synced.get(op.node, -1) else choose(op):
            image.apply(left)
    return image


def write_tree(image: Image, home: Path) -> dict[str, int]:
    """Put the image into an empty folder, hard links included; returns the number of each path."""
    first: dict[int, Path] = {}
    numbers = dict(image.walk())
    for path, number in numbers.items():
        target = home / path
        if number in image.folders:
            target.mkdir()
        elif number in first:
            target.hardlink_to(first[number])
        else:
            target.write_bytes(image.files[number])
            first[number] = target
    return numbers


def read_tree(home: Path) -> Tree:
    """What a real folder holds."""
    return {path.relative_to(home).as_posix(): None if path.is_dir() else path.read_bytes() for path in home.rglob("*")}
