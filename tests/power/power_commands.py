"""Commands that are recorded and then run again in what a power cut has left of their folder."""

import contextlib
import functools
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from disk_image import Choice, Op, Tree, after_cut, holed, lost, mixed, named, read_tree, torn, whole, zeros
from disk_layer import Recording

from hermes import cli
from hermes.harness.records.journal import unsealed
from hermes.harness.system import disk

# What is left of that which nothing waited for.
KINDS: dict[str, Callable[[Sequence[Op]], Choice]] = {
    "lost": lambda done: lost,
    "names without data": lambda done: named,
    "zeros": lambda done: zeros,
    "torn": lambda done: torn,
    "holed": lambda done: holed,
    "killed": lambda done: whole,
    "last alone": lambda done: lambda op: (op,) if op is done[-1] else (),
    "mixed": lambda done: mixed(2 * len(done)),
    "mixed otherwise": lambda done: mixed(2 * len(done) + 1),
}


@dataclass(frozen=True)
class Played:
    """A command that ran to its end: its operations from ``start`` on, and the folder that it left.

    ``tried`` holds the states of the disk in which it was run again.
    """

    command: tuple[str, ...]
    recording: Recording
    tree: Tree
    start: int = 0
    tried: set[frozenset[tuple[str, bytes | None]]] = field(default_factory=set)

    @property
    def points(self) -> range:
        """Every moment at which the power can fail: so many operations are done."""
        return range(self.start, len(self.recording.ops) + 1)

    def cut(self, point: int, kind: str) -> Tree:
        done = self.recording.ops[:point]
        return after_cut(done, self.recording.kinds, KINDS[kind](done)).tree()


def hermes(folder: Path, command: Sequence[str]) -> None:
    """The command line in this process, in a folder; raises AssertionError with what it said where it fails."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["hermes", *command, "--quiet"])
        with pytest.raises(SystemExit) as exit_, contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    assert not exit_.value.code, said.getvalue()


def play(folder: Path, command: Sequence[str], before: Recording | None = None, until: int = 0) -> Played:
    """Record a command, in an empty folder or in what a process left that was killed after ``until`` operations."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch, Recording(folder, before, until) as recording:
        # Another process has another number in the names of its unfinished files.
        patch.setattr(disk, "part_of", lambda path: path.with_name(f".{path.name[:120]}.{until}.part"))
        hermes(folder, command)
    return Played(tuple(command), recording, read_tree(folder), until)


def moments(played: Played) -> list[int]:
    """The points around the first and the last operation of every sort: what is done, to which kind of file."""
    sorts: dict[str, list[int]] = {}
    for place in played.points[:-1]:
        op = played.recording.ops[place]
        name = re.sub(r"[0-9a-f]{8,}|\d+", "#", op.path.rpartition("/")[2])
        sorts.setdefault(f"{op.kind} {name}", []).append(place)
    found = {place + after for places in sorts.values() for place in (places[0], places[-1]) for after in (0, 1)}
    return sorted(found)


def again(played: Played, left: Tree, folder: Path) -> Tree:
    """The folder after the very same command was run in what is left."""
    put(left, folder)
    hermes(folder, played.command)
    return read_tree(folder)


def put(tree: Tree, folder: Path) -> None:
    folder.mkdir()
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def broken(tree: Tree, pictures: bool = True) -> Iterator[str]:
    """What is not there, or not whole, though something that is there says that it is."""
    for path, content in tree.items():
        above, _, name = path.rpartition("/")
        if content is None or name.startswith(".") or ".part/" in path:
            continue  # a folder, or what has not got its name yet
        if name.endswith(".png") and above.endswith("media") and _sha256(content) != name[:-4]:
            yield f"{path} is not the picture of its name"
        if name.endswith(".json"):
            with contextlib.suppress(ValueError):
                json.loads(content)
                continue
            yield f"{path} is torn"
        if name.startswith("responses.") and pictures:
            for digest in _pictures(content):
                if f"{above}/media/{digest}.png" not in tree:
                    yield f"{path} has a line for {digest}.png, which is lost"
        if name == "preferences.jsonl":
            for digest in re.findall(rb'"image":"([0-9a-f]{64})"', content):
                if f"run/media/{digest.decode()}.png" not in tree:
                    yield f"{path} has a line for {digest.decode()}.png, which is lost"


_sha256 = functools.cache(lambda content: hashlib.sha256(content).hexdigest())


@functools.cache
def _pictures(journal: bytes) -> list[str]:
    """The pictures that the whole lines of a journal name."""
    bodies = [unsealed(line) for line in journal.splitlines(keepends=True) if line.endswith(b"\n")]
    return [image for body in bodies if body for image in [json.loads(body)["image"]] if image]


def starts(tree: Tree) -> int:
    """How many starts the run has noted in lines that can be read."""
    count = 0
    for line in (tree.get("run/environment.jsonl") or b"").splitlines():
        with contextlib.suppress(ValueError):
            count += json.loads(line).get("start", False)
    return count
