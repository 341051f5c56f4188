"""What all answers to a task have in common that answers should not: empty, the same, or none that could be read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hermes.harness.records.types import Response, Sample
from hermes.harness.system.text import plain

FEW = 4
"""Fewer answers than this may be alike by chance."""
LONGEST = 100


class Likeness:
    """Looks at answers as they stream past, and keeps no more than the first of them."""

    def __init__(self) -> None:
        self._answers = self._empty = 0
        self._first = self._asked = self._example = ""
        self._same, self._wanted_same, self._drawn = True, True, False
        self._wanted = ""

    def see(self, sample: Sample, response: Response, said: Mapping[str, Any] | None) -> None:
        """One answer, and what a judge said of it."""
        answer = response.image if response.text is None else response.text.strip()
        if answer is None and said is None:
            return
        wanted = repr(sample.prompt if sample.target is None else sample.target)
        if not self._answers:
            self._first, self._asked, self._wanted = answer or "", sample.id, wanted
            self._drawn = response.text is None
        if not self._example:
            self._example = answer or "" if said is None else json.dumps(said)
        self._answers += 1
        self._empty += answer == ""
        self._same &= answer is not None and answer == self._first
        self._wanted_same &= wanted == self._wanted

    def notes(self, scored: int) -> Iterator[str]:
        """One clause each; ``scored`` is how many answers could be read."""
        if self._answers < FEW:
            return
        if self._empty == self._answers:
            yield f"all {self._answers} answers are empty, such as the one to {self._asked_of()}"
            return
        if self._same and not self._wanted_same:
            example = f", such as the one to {self._asked_of()}" if self._drawn else f": {_shown(self._first)}"
            yield f"all {self._answers} {'pictures' if self._drawn else 'answers'} are the same{example}"
        if not scored:
            yield f"none of {self._answers} answers could be read, such as: {_shown(self._example)}"

    def _asked_of(self) -> str:
        return plain(self._asked, longest=LONGEST)


def _shown(answer: str) -> str:
    return plain(repr(answer), longest=LONGEST)
