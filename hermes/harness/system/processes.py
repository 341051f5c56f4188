"""One process or many (`accelerate launch`): who am I, and waiting for the others."""

import os
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from hermes.harness.system.launch import check_launch

Told = TypeVar("Told")


@dataclass(frozen=True)
class Processes:
    """This process's rank among ``world`` processes."""

    rank: int
    world: int
    local_rank: int

    @property
    def main(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def total(self, number: int) -> int:
        """The sum of every process's number; all must call."""
        return sum(self.gathered(number))

    def gathered(self, told: Told) -> list[Told]:
        """What every process tells, in the order of ranks; all must call."""
        if self.world == 1:
            return [told]
        from accelerate.utils import gather_object

        found: list[Told] = gather_object([told])
        return found


@cache
def current() -> Processes:
    """The processes of this run, from the launcher's environment; alone without one.

    Raises HermesError for a launch under which numbers would be wrong.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Processes(0, 1, 0)
    from accelerate import PartialState
    from accelerate.utils import is_cuda_available

    check_launch()
    state = PartialState(cpu=not is_cuda_available())
    return Processes(state.process_index, state.num_processes, state.local_process_index)


def part() -> None:
    """Take leave of the others, all work being done.

    A process that ends with its group open may be aborted on the way out by the threads that still serve it
    (pytorch/pytorch#179291). Not for one that fails: the others may be waiting for each other.
    """
    if current.cache_info().currsize and current().world > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()
