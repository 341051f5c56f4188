"""Work that processes share: each has its equal part, and who is done with that takes what others have not begun."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

A = TypeVar("A")
PARTS = 4
"""Parts of a process's share of a window; what is held of the work in memory is one window."""


def chunks(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """The items in lists of that many."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk


def dealt(window: Sequence[A], world: int, size: int) -> list[list[Sequence[A]]]:
    """Each process's share of a window, in parts of that size; shares differ by one item at most."""
    shares = [window[rank::world] for rank in range(world)]
    return [[share[begin : begin + size] for begin in range(0, len(share), size)] for share in shares]


class Sharing(Generic[A]):
    """The parts, of at most ``size`` items, that fall to this process; all processes must see the same ``items``.

    Items are dealt in turn, so that shares differ by one at most, window by window; within a window a process that has
    no part left takes one of those that nobody has begun. Whoever has iterated to the end knows that all have. Raises
    HermesError at the end where not all saw equally many items. ``label`` is what others are told who wait.
    """

    def __init__(self, items: Iterable[A], size: int, label: str) -> None:
        self._items, self._size, self.label = items, size, label
        self._processes = current()
        self._processes.doing(label)
        meeting = self._processes.meeting
        self._count = meeting.counter() if meeting else None
        self._done = 0

    def __iter__(self) -> Iterator[Sequence[A]]:
        count, processes = self._count, self._processes
        if count is None:
            yield from chunks(self._items, self._size)
            return
        world, seen = processes.world, 0
        for number, window in enumerate(chunks(self._items, world * self._size * PARTS)):
            seen += len(window)
            shares = dealt(window, world, self._size)
            for turn in range(world):
                owner = (processes.rank + turn) % world
                parts = shares[owner]
                while (begun := count(f"{number}/{owner}", 1) - 1) < len(parts):
                    yield parts[begun]
        counts = processes.gathered([seen])
        if len(set(counts)) > 1:
            raise HermesError(
                f"the processes find different work, from {min(counts)} to {max(counts)} items: they do not see the "
                "same files; give --runs a folder that all machines share, and run the same command again"
            )

    def did(self, steps: int) -> int:
        """Note steps that were done; returns how many more all processes have done since this was last asked."""
        if self._count is None:
            return steps
        done = self._count("done", steps)
        before, self._done = self._done, done
        return done - before
