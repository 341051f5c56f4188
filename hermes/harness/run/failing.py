"""Why items failed: the commonest reasons, counted, and the line for a task of which nothing could be scored."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from hermes.harness.records.types import Result
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import plain

SHOWN = 3
LONGEST = 300
# Words that tell one item from the next: ids, places, names of files.
OWN = re.compile(r"\S*[\d/\\]\S*|\S+\.[A-Za-z]{2,5}\b")


class Reasons:
    """Counts reasons; those that differ in numbers and names of files alone are one."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        kind = OWN.sub("#", reason)
        self._first.setdefault(kind, plain(reason, longest=LONGEST))
        self._counts[kind] += 1

    @property
    def total(self) -> int:
        """How many there were."""
        return self._counts.total()

    def commonest(self) -> dict[str, int]:
        """The commonest ones, each as it was first met, of 300 characters at most, with their counts."""
        return {self._first[kind]: count for kind, count in self._counts.most_common(SHOWN)}


def told(failures: Mapping[str, int], errors: int) -> Iterator[str]:
    """The reasons as clauses, and how many of the errors have others."""
    for reason, count in failures.items():
        yield f"1 error: {reason}" if count == 1 else f"{count} errors, such as: {reason}"
    if failures and (rest := errors - sum(failures.values())) > 0:
        yield f"{rest} errors for other reasons"


def refuse_nothing(results: Mapping[str, Result]) -> None:
    """Raise HermesError for the first task whose answers have all failed."""
    for name, result in results.items():
        if not result.n and (errors := result.counts.get("error", 0)):
            reason, count = next(iter(result.failures.items()), ("no reason is known", errors))
            raise HermesError(
                f"{name}: nothing could be scored, all {errors} answers failed, {count} of them such as: {reason}; fix "
                "the cause and run the same command again"
            )
