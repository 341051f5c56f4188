"""Progress in a terminal: a bar for the stage under way and one for the whole, of which one line stays."""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from hermes.harness.system.pace import Pace, Stage, clock_time, said_left, speed
from hermes.harness.system.screen import Screen
from hermes.harness.system.text import plain

LABEL = 22
"""Characters of a stage's name."""


def can_show(stream: IO[str]) -> bool:
    """Whether bars can be drawn over what is there already."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class Told(ProgressColumn):
    """What the row's own function says at this moment."""

    max_refresh = None

    def render(self, task: Task) -> Text:
        return Text(task.fields["told"](), no_wrap=True)


class Bars:
    """The bars go when the work ends, and a line says what was done, and how long that took."""

    def __init__(self, title: str, verbose: bool = False, console: Screen | None = None) -> None:
        self._title, self._verbose = title, verbose
        self._pace, self._note = Pace(), ""
        label = TextColumn(f"{{task.description:<{LABEL}}}", markup=False)
        columns = (label, BarColumn(bar_width=None, table_column=Column(ratio=1)), Told())
        console = console or Screen(stderr=True)
        self._bars = Progress(*columns, console=console, transient=True, expand=True)
        self._stage: Any = None
        self._whole: Any = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._bars.stop()
        self._pace.finish()
        if kind is None and self._pace.number:
            took = clock_time(time.monotonic() - self._pace.begun)
            self.say(f"{self._title}: {self._pace.all_done:,} steps in {took}")

    def say(self, text: str) -> None:
        self._bars.console.print(text, soft_wrap=True)

    def detail(self, text: str) -> None:
        if self._verbose:
            self.say(text)

    def plan(self, stages: Sequence[Stage]) -> None:
        self._pace.plan(stages)

    def start(self, label: str, total: int, done: int = 0) -> None:
        pace, bars = self._pace, self._bars
        pace.start(label, total, done)
        self._note = ""
        name = plain(label, longest=LABEL)
        if self._stage is None:
            self._stage = bars.add_task(name, total=total, told=self._told)
        if self._whole is None and pace.stages > 1:
            self._whole = bars.add_task("all", total=pace.all_steps, told=self._all_told)
        bars.update(self._stage, description=name, total=total, completed=done)
        self._show_whole()

    def skip(self, steps: int) -> None:
        self._pace.skip(steps)
        self._show()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._pace.advance(steps)
        self._note = plain(note, longest=LABEL)
        self._show()

    def _show(self) -> None:
        self._bars.update(self._stage, completed=self._pace.done)
        self._show_whole()

    def _show_whole(self) -> None:
        if self._whole is not None:
            pace = self._pace
            name = f"all, stage {pace.number} of {pace.stages}"
            self._bars.update(self._whole, description=name, total=pace.all_steps, completed=pace.all_done)

    def _told(self) -> str:
        pace = self._pace
        of = f"/{pace.total:,}" if pace.total >= pace.done else ""
        parts = (f"{pace.done:,}{of}", speed(pace.each), self._note, said_left(pace.left()))
        return "  ".join(filter(None, parts))

    def _all_told(self) -> str:
        return "  ".join(filter(None, (self._pace.share, said_left(self._pace.all_left()))))
