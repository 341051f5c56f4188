"""Batches that may fail: halved where memory is short, taken apart where one item is bad, given up where all fail."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from hermes.harness.system.errors import AskError, HermesError, ImageError, JudgeError
from hermes.harness.system.failures import free_memory, is_out_of_memory, machine_failure, out_of_memory
from hermes.harness.system.fitting import fewer
from hermes.harness.system.text import plain

T = TypeVar("T")
R = TypeVar("R")
IN_A_ROW = 50
LONGEST = 300


class Attempts(Generic[T, R]):
    """``work`` does a batch as a whole; ``failed`` is the record of one item that cannot be done, for which reason.

    A batch that memory is too small for is halved, down to single items, and later ones are as small from the start;
    ``say`` is told. Any other that fails is tried item by item, so that a bad one fails alone. After ``in_a_row``
    failures without a success between them no more items are tried, and `refuse_more` raises; 0 is never. What every
    other item would meet too, as a full disk, is raised as HermesError. Messages begin with the ``label``, and call the
    items ``what``.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R]],
        failed: Callable[[T, str], R],
        label: str,
        what: str,
        say: Callable[[str], object],
        in_a_row: int = IN_A_ROW,
    ) -> None:
        self._work, self._failed, self._label, self._what = work, failed, label, what
        self._say, self._in_a_row = say, in_a_row
        self._row = 0
        self._first = ""
        self._most: int | None = None
        self._short, self._fitted = False, 0

    def results(self, batch: Sequence[T]) -> Iterator[R]:
        """One record for each item, in order; fewer where the last ones were given up."""
        step = self._most or max(len(batch), 1)
        for begin in range(0, len(batch), step):
            part = batch[begin : begin + step]
            self._short, self._fitted = False, 0
            yield from self._tried(part)
            if self._short and self._fitted:
                self._most = self._fitted
                self._say(fewer(self._label, len(part), self._fitted))

    def failed(self, item: T, error: Exception) -> R:
        """The record of an item that failed elsewhere, which counts here. Raises what is no item's failure."""
        return self._fail(item, self._reason(error))

    def succeeded(self) -> None:
        """An item was done elsewhere."""
        self._row = 0

    def refuse_more(self) -> None:
        """Raise HermesError where too many failed in a row; to be called when what there is has been stored."""
        if self.given_up:
            raise HermesError(
                f"{self._label}: {self._row} {self._what} in a row failed, the first with: {self._first}; fix the "
                "cause and run the same command again, which goes on from here (--max-failures says when it stops)"
            )

    @property
    def given_up(self) -> bool:
        """Whether too many failed in a row."""
        return bool(self._in_a_row) and self._row >= self._in_a_row

    def _tried(self, part: Sequence[T]) -> Iterator[R]:
        if self.given_up:
            return
        try:
            found = self._work(part)
        except Exception as error:
            reason, short = self._reason(error), is_out_of_memory(error)
        else:
            self._row, self._fitted = 0, max(self._fitted, len(part))
            yield from found
            return
        # The error is gone here, and with it what its frames held of the batch.
        if short:
            self._short = True
            free_memory()
        if len(part) == 1:
            yield self._fail(part[0], reason)
            return
        step = -(-len(part) // 2) if short else 1
        for begin in range(0, len(part), step):
            yield from self._tried(part[begin : begin + step])

    def _fail(self, item: T, reason: str) -> R:
        self._first = self._first if self._row else reason
        self._row += 1
        return self._failed(item, reason)

    def _reason(self, error: Exception) -> str:
        """Why an item failed. Raises what is no item's failure."""
        if isinstance(error, AskError | ImageError | JudgeError):
            return plain(str(error), longest=LONGEST)
        if isinstance(error, HermesError):
            raise error
        if is_out_of_memory(error):
            return out_of_memory(error)
        if failure := machine_failure(error):
            raise HermesError(failure) from error
        return plain(f"{type(error).__name__}: {error}", longest=LONGEST)
