"""Progress as lines of a log, for whatever is no terminal: Slurm, nohup, CI, notebooks."""

import time
from collections.abc import Callable, Sequence
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Self

from hermes.harness.system.pace import Pace, Stage, clock_time, said_left, speed
from hermes.harness.system.text import say

EVERY = 30.0
"""Seconds between two lines of a stage."""


class Log:
    """A line at the start, every 30 seconds, and at the end of each stage, each with the time of day."""

    def __init__(self, title: str, verbose: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._verbose = title, verbose
        self._pace, self._note = Pace(clock), ""
        self._lock, self._stopped = RLock(), Event()
        self._thread: Thread | None = None
        self._planned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._stopped.set()
        with self._lock:
            if kind is None:
                self._end()

    def say(self, text: str) -> None:
        with self._lock:
            if self._pace.done >= self._pace.total:
                self._end()
            say(text)

    def detail(self, text: str) -> None:
        if self._verbose:
            self.say(text)

    def plan(self, stages: Sequence[Stage]) -> None:
        with self._lock:
            self._end()
            self._pace.plan(stages)
            if not self._planned:
                self._planned = True
                steps = f"{'' if self._pace.whole else 'over '}{self._pace.all_steps:,}"
                self._line(f"{self._title} begins: {steps} steps in {self._pace.stages} stages")

    def start(self, label: str, total: int, done: int = 0) -> None:
        with self._lock:
            self._end()
            self._pace.start(label, total, done)
            self._note = ""
            if self._thread is None:
                self._thread = Thread(target=self._beat, daemon=True)
                self._thread.start()

    def skip(self, steps: int) -> None:
        with self._lock:
            self._pace.skip(steps)

    def advance(self, steps: int = 1, note: str = "") -> None:
        with self._lock:
            self._pace.advance(steps)
            self._note = note

    def tell(self) -> None:
        """How far the stage under way and the whole are."""
        with self._lock:
            if self._pace.label:
                self._line(*self._stage(), said_left(self._pace.left()), whole=self._whole())

    def _beat(self) -> None:
        while not self._stopped.wait(EVERY):
            self.tell()

    def _end(self) -> None:
        """Say that the stage under way has ended, if there is one."""
        pace = self._pace
        if not pace.label:
            return
        told = (*self._stage(), f"in {clock_time(pace.seconds)}" if pace.worked else "all there before")
        pace.finish()
        self._line(*told, whole=self._whole())

    def _stage(self) -> tuple[str, ...]:
        pace = self._pace
        of = f" of {pace.total:,}" if pace.total >= pace.done else ""
        share = f" ({100 * pace.done // pace.total} %)" if pace.done < pace.total else ""
        return f"{pace.label}: {pace.done:,}{of}{share}", speed(pace.each), self._note

    def _whole(self) -> str:
        pace = self._pace
        if pace.all_done >= pace.all_steps:
            return ""
        return "; in all " + ", ".join(filter(None, (pace.share, said_left(pace.all_left()))))

    def _line(self, *parts: str, whole: str = "") -> None:
        say(f"{time.strftime('%H:%M:%S')} {', '.join(filter(None, parts))}{whole}")
