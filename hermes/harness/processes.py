"""One process or many (`accelerate launch`): who am I, and waiting for the others."""

import os
from dataclasses import dataclass
from functools import cache

from hermes.harness.launch import check_launch


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


@cache
def current() -> Processes:
    """The processes of this run, from the launcher's environment; alone without one.

    Raises HermesError for a launch under which numbers would be wrong.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Processes(0, 1, 0)
    import torch
    from accelerate import PartialState

    check_launch()
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, state.local_process_index)
