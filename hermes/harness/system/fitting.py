"""Work that may take fewer things at once where memory is short, without another result."""

from collections.abc import Callable
from typing import TypeVar

from hermes.harness.system.failures import free_memory, is_out_of_memory

T = TypeVar("T")


class Fitting:
    """How many things are taken at once; ``size`` is halved where memory is too small for them, and ``say`` is told."""

    def __init__(self, size: int, label: str, say: Callable[[str], object]) -> None:
        self.size, self._label, self._say = size, label, say

    def run(self, work: Callable[[], T], again: Callable[[], object] | None = None) -> T:
        """What ``work`` gives with as many as fit; ``again`` is called before another try.

        Raises the error where nothing is left to halve.
        """
        asked = self.size
        while True:
            try:
                found = work()
            except Exception as error:
                if not is_out_of_memory(error) or self.size == 1:
                    raise
            else:
                break
            # The error is gone here, and with it what its frames held.
            self.size //= 2
            if again:
                again()
            free_memory()
        if self.size < asked:
            self._say(fewer(self._label, asked, self.size))
        return found


def fewer(label: str, asked: int, fits: int) -> str:
    """What to say where fewer things are taken at once than were asked for."""
    return f"{label}: out of memory with {asked} at once; going on with {fits} at once, which changes no result"
