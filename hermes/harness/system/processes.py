"""One process or many (`accelerate launch`): who am I, what have the others found, and waiting for them."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.launch import check_launch

if TYPE_CHECKING:
    from hermes.harness.system.meeting import Meeting

TIMEOUT = "HERMES_PROCESS_TIMEOUT"
SECONDS = 1800.0


@dataclass(frozen=True)
class Processes:
    """This process's rank among ``world`` processes, which meet where there are several."""

    rank: int
    world: int
    local_rank: int
    meeting: "Meeting | None" = None

    @property
    def main(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Return when all processes have come here, however long their work takes."""
        if self.meeting:
            self.meeting.arrive()

    def total(self, number: int) -> int:
        """The sum of every process's number; all must call."""
        return sum(self.gathered([number]))

    def gathered(self, values: Sequence[Any]) -> list[Any]:
        """What all processes have, in the order of ranks: numbers, texts, and lists of them. All must call."""
        if not self.meeting:
            return list(values)
        words = self.meeting.arrive(json.dumps(list(values)).encode())
        return [value for word in words for value in json.loads(word)]

    def doing(self, what: str) -> None:
        """Tell those who wait for this process what it is at."""
        if self.meeting:
            self.meeting.doing(what)

    def tell(self, say: Callable[[str], object]) -> None:
        """From now on the main process says in this way who is waited for."""
        if self.meeting and self.main:
            self.meeting.tell = say


@cache
def current() -> Processes:
    """The processes of this run, from the launcher's environment; alone without one.

    Raises HermesError for a launch under which numbers would be wrong.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Processes(0, 1, 0)
    from accelerate import PartialState
    from accelerate.utils import is_cuda_available

    from hermes.harness.system.meeting import Meeting

    check_launch()
    state = PartialState(cpu=not is_cuda_available(), timeout=time_limit())
    rank, world = state.process_index, state.num_processes
    meeting = Meeting(rank, world, time_limit().total_seconds())
    return Processes(rank, world, state.local_process_index, meeting)


def time_limit() -> timedelta:
    """How long a collective of torch may take, and how long a process may give no sign of life.

    From HERMES_PROCESS_TIMEOUT, in seconds. Raises HermesError for what is no such number.
    """
    said = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(said or SECONDS)
        if not 1 <= seconds <= 1e6:
            raise ValueError
    except ValueError:
        raise HermesError(f"{TIMEOUT}: {said!r} is no number of seconds from 1 to 1000000") from None
    return timedelta(seconds=seconds)


def part() -> None:
    """Take leave of the others, all work being done.

    A process that ends with its group open may be aborted on the way out by the threads that still serve it
    (pytorch/pytorch#179291). Not for one that fails: the others may be waiting for each other.
    """
    if current.cache_info().currsize and (meeting := current().meeting):
        from accelerate import PartialState

        meeting.arrive()
        meeting.leave()
        PartialState().destroy_process_group()
