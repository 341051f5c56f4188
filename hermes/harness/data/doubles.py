"""Ids that came before, known in eight bytes an id."""

from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from hermes.harness.system.errors import HermesError


class Doubles:
    """The ids of a stream, kept as hashes; only where two are equal is the stream asked again which id it is."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, name: str) -> None:
        self._hashes.append(hash(name))

    def every(self, again: Callable[[], Iterable[str]]) -> Iterator[str]:
        """Each id that came before, as often as it did; ``again`` gives all ids once more, in the same order."""
        hashes = np.sort(np.frombuffer(self._hashes, dtype=np.int64))
        suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        seen: set[str] = set()
        for name in again() if suspects else ():
            if name in seen:
                yield name
            elif hash(name) in suspects:
                seen.add(name)

    def refuse(self, again: Callable[[], Iterable[str]], where: str) -> None:
        """Raise HermesError that names the first id that came before."""
        for name in self.every(again):
            raise HermesError(f"{where}: the id {name!r} stands in two rows; every row needs its own id")


class Known:
    """A set of ids, kept as hashes of 64 bits."""

    def __init__(self, names: Iterable[str]) -> None:
        self._hashes = np.unique(np.fromiter(map(hash, names), dtype=np.int64))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        place = int(np.searchsorted(self._hashes, hash(name)))
        return place < len(self._hashes) and int(self._hashes[place]) == hash(name)
