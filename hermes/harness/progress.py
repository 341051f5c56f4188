"""Progress of long work, with the time left; silent where nobody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """What the harness reports to while it works."""

    def say(self, text: str) -> None: ...

    def start(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...


class Silent:
    """Reports to nobody."""

    def say(self, text: str) -> None: ...

    def start(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...


class Lines(Silent):
    """Says what there is to say on stderr, and shows no bars."""

    def say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


class Bars:
    """One rich progress bar for each step, finished ones stay on screen."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = None

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def start(self, label: str, total: int, done: int = 0) -> None:
        self._task = self._bars.add_task(label, total=total, completed=done, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.update(self._task, advance=steps, note=note)


@contextmanager
def rich_progress(quiet: bool = False) -> Iterator[Progress]:
    """Bars on stderr in a terminal, lines elsewhere; silent with ``quiet``, and in all processes but the main one."""
    from hermes.harness.processes import current

    if quiet or not current().main:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        yield Bars(bars)
