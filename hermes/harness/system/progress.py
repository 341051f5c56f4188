"""What long work reports to; who hears it is decided once, by `watched`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

from hermes.harness.system.hub import without_bars
from hermes.harness.system.pace import Stage
from hermes.harness.system.text import be_quiet


class Progress(Protocol):
    """What the harness reports to while it works."""

    def say(self, text: str) -> None:
        """A line that a person should see."""

    def detail(self, text: str) -> None:
        """A line for those who want to know more (--verbose)."""

    def plan(self, stages: Sequence[Stage]) -> None:
        """What is to come from here on, in order, so that the time that is left can be told."""

    def start(self, label: str, total: int, done: int = 0) -> None:
        """A stage of so many steps begins, some of which were done by an earlier command."""

    def skip(self, steps: int) -> None:
        """Steps of the stage whose outcome was there already."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Steps of the stage that have been done."""


class Silent:
    """Reports nothing."""

    def say(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def plan(self, stages: Sequence[Stage]) -> None: ...

    def start(self, label: str, total: int, done: int = 0) -> None: ...

    def skip(self, steps: int) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...


@contextmanager
def watched(title: str, quiet: bool = False, verbose: bool = False) -> Iterator[Progress]:
    """Bars on stderr in a terminal, lines of a log elsewhere.

    Silent with ``quiet``, and in all processes but the main one. ``title`` is the name of what is done.
    """
    from hermes.harness.system.processes import current

    be_quiet(quiet)
    with without_bars() if quiet or not sys.stderr.isatty() else nullcontext():
        if quiet or not current().main:
            yield Silent()
            return
        from hermes.harness.system.bars import Bars, can_show
        from hermes.harness.system.log import Log

        with Bars(title, verbose) if can_show(sys.stderr) else Log(title, verbose) as progress:
            yield progress
