"""What was made of files, kept until they change."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """The things that were looked at last, by name: ``most`` of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[Hashable, tuple[object, V]] = {}

    def get(self, name: Hashable, state: object, make: Callable[[], V]) -> V:
        """The thing as it was made when its files were in this ``state``; otherwise it is made now."""
        held = self._held.pop(name, None)
        value = held[1] if held is not None and held[0] == state else make()
        self._held[name] = (state, value)
        while len(self._held) > self.most:
            del self._held[next(iter(self._held))]
        return value
