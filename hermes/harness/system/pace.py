"""How far long work is, how fast it goes and how long it will take; counts and seconds alone, nothing is shown."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Stage(NamedTuple):
    """A piece of the work, and of how many steps it consists; those of stages of one ``kind`` are equally long.

    ``steps`` is None where it is not known yet. ``part``: the label of the stage of a larger plan that this one
    belongs to.
    """

    label: str
    steps: int | None
    kind: str = ""
    part: str = ""


class Left(NamedTuple):
    """How many seconds are left; ``whole`` is False where the speed or the steps of some stages are not known yet."""

    seconds: float
    whole: bool = True


class Pace:
    """The stages that were done, the one that is under way, and those to come; ``clock`` gives seconds.

    Steps that were skipped, as their outcome was there already, count as done and not for the speed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begun = self._start = self._last = clock()
        self.label, self.done, self.total, self.worked = "", 0, 0, 0
        self.number, self._passed, self._kind = 0, 0, ""
        self._coming: list[Stage] = []
        self._parts: dict[str, Sequence[Stage]] = {}  # what a stage of the plan consists of, by its label
        self._known: dict[str, tuple[int, float]] = {}  # steps and their seconds, by kind

    def plan(self, stages: Sequence[Stage]) -> None:
        """What is still to come, in order, in place of what was thought to come.

        Stages of a part, as those of an evaluation within a self-play, take the place of that part alone, the next time
        that it is to come. They are expected wherever it comes again.
        """
        if part := stages[0].part if stages else "":
            self._pass(part)
            self._parts[part] = stages
        self._coming = [*stages, *(self._coming if part else ())]

    def start(self, label: str, total: int, done: int = 0) -> None:
        """Begin a stage. Planned ones before it have turned out to be nothing to do."""
        self.finish()
        stage = self._pass(label)
        self.number, self._kind = self.number + 1, (stage.kind if stage else "") or label
        self.label, self.total, self.done, self.worked = label, total, done, 0
        self._start = self._last = self._clock()

    def skip(self, steps: int) -> None:
        """Steps of the stage that need not be done."""
        self.done += steps

    def advance(self, steps: int = 1) -> None:
        """Steps of the stage that have been done."""
        self.done += steps
        self.worked += steps
        self._last = self._clock()

    def finish(self) -> None:
        """The stage under way has ended, if there is one."""
        self._known = self._speeds()
        self._passed += max(self.done, self.total)
        self.label, self.done, self.total, self.worked = "", 0, 0, 0

    @property
    def stages(self) -> int:
        """How many stages there are in all."""
        return self.number + len(self._expected())

    @property
    def all_done(self) -> int:
        """Steps of all stages that are done."""
        return self._passed + self.done

    @property
    def all_steps(self) -> int:
        """Steps of all stages, as far as they are known."""
        return self._passed + max(self.done, self.total) + _steps(self._expected())

    @property
    def whole(self) -> bool:
        """Whether the steps of all stages are known."""
        return all(stage.steps is not None for stage in self._expected())

    @property
    def share(self) -> str:
        """ "12 %" of all steps; "under 12 %" where there are more than are known."""
        return f"{'' if self.whole else 'under '}{100 * self.all_done // max(self.all_steps, 1)} %"

    @property
    def seconds(self) -> float:
        """Since the stage under way has begun."""
        return self._clock() - self._start

    @property
    def each(self) -> float | None:
        """Seconds a step of the stage under way; None before the first one is done."""
        return (self._last - self._start) / self.worked if self.worked else None

    def left(self) -> Left | None:
        """Until the stage under way ends; None where nothing tells."""
        if self.each is None:
            return None
        return Left(max(0.0, (self.total - self.done) * self.each - (self._clock() - self._last)))

    def all_left(self) -> Left | None:
        """Until all stages have ended; None where nothing tells."""
        speeds = self._speeds()
        now = self.left()
        coming = [Stage(self.label, self.total - self.done, self._kind)] if self.label and now is None else []
        coming += [stage for stage in self._expected() if stage.steps != 0]
        seconds, unknown = now.seconds if now else 0.0, 0
        for stage in coming:
            steps, spent = speeds.get(stage.kind or stage.label, (0, 0.0))
            if steps and stage.steps is not None:
                seconds += stage.steps * spent / steps
            else:
                unknown += 1
        return Left(seconds, whole=not unknown) if now or unknown < len(coming) else None

    def _pass(self, label: str) -> Stage | None:
        """The next planned stage of the label, which is no longer to come, nor are those before it."""
        place = next((place for place, stage in enumerate(self._coming) if stage.label == label), None)
        if place is None:
            return None
        nothing = self._expected(place)
        self.number, self._passed = self.number + len(nothing), self._passed + _steps(nothing)
        stage = self._coming[place]
        del self._coming[: place + 1]
        return stage

    def _expected(self, until: int | None = None) -> list[Stage]:
        """What is to come, before place ``until`` of the plan, with the stages of each part where they were told."""
        told: list[Stage] = []
        for stage in self._coming[:until]:
            told += self._parts.get(stage.label, [stage]) if stage.steps is None else [stage]
        return told

    def _speeds(self) -> dict[str, tuple[int, float]]:
        steps, seconds = self._known.get(self._kind, (0, 0.0))
        now = {self._kind: (steps + self.worked, seconds + self._last - self._start)} if self.worked else {}
        return self._known | now


def _steps(stages: Sequence[Stage]) -> int:
    """Steps of the stages, as far as they are known."""
    return sum(stage.steps or 0 for stage in stages)


def clock_time(seconds: float) -> str:
    """ "0:07", "12:30", "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def said_left(left: Left | None) -> str:
    """ "3:10 left", "over 3:10 left", or nothing."""
    return f"{'' if left.whole else 'over '}{clock_time(left.seconds)} left" if left else ""


def speed(each: float | None) -> str:
    """ "12.3/s", or "2.5 s each" for steps of more than a second; "" where nothing is known."""
    return "" if not each else f"{each:.1f} s each" if each > 1 else f"{1 / each:,.1f}/s"
