"""Progress of long work, with the time left; silent where it is not watched."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from hermes.harness.system.text import plain, say

LONGEST_LABEL = 60


class Progress(Protocol):
    """What the harness reports to while it works."""

    def say(self, text: str) -> None: ...

    def start(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...


class Silent:
    """Reports nothing."""

    def say(self, text: str) -> None: ...

    def start(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...


class Lines(Silent):
    """Says what there is to say on stderr, and shows no bars."""

    def say(self, text: str) -> None:
        say(text)


class Bars:
    """One rich progress bar for each step, finished ones stay on screen."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = None

    def say(self, text: str) -> None:
        self._bars.console.print(text)

    def start(self, label: str, total: int, done: int = 0) -> None:
        label = plain(label, longest=LONGEST_LABEL)
        self._task = self._bars.add_task(label, total=total, completed=done, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.update(self._task, advance=steps, note=plain(note, longest=LONGEST_LABEL))


@contextmanager
def rich_progress(quiet: bool = False) -> Iterator[Progress]:
    """Bars on stderr in a terminal, lines elsewhere; silent with ``quiet``, and in all processes but the main one."""
    from hermes.harness.system.processes import current

    if quiet or not current().main:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    from hermes.harness.system.screen import Screen

    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with RichProgress(*columns, console=Screen(stderr=True)) as bars:
        yield Bars(bars)
