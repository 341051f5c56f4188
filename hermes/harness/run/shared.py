"""Whether all processes see one run folder: nodes need share nothing else, but that they must."""

import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from hermes.harness.system.disk import part_of, write_atomic
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

PATIENCE = 60.0
"""Seconds after which a mark is not coming: NFS may keep a folder's old list for as long (acdirmax in nfs(5))."""
PAUSE = 0.2


def meet_in(folder: Path) -> None:
    """Return when all processes have come here and see ``folder``, which process 0 has made, as one.

    Process 0 leaves a mark with a name that was never there before, and the others look for it. Raises HermesError in
    all of them where one does not find it.
    """
    if (here := current()).world == 1:
        return
    where = f"{folder.absolute()} of {socket.gethostname()}"
    mark = part_of(folder / secrets.token_hex(8))
    if here.main:
        write_atomic(mark, "")
    first, name = here.gathered([[where, mark.name]])[0]
    seen = here.gathered([[where, _appears(folder / name)]])
    if here.main:
        mark.unlink()
    if blind := [place for place, saw in seen if not saw]:
        raise HermesError(_not_shared(first, blind))


def _appears(mark: Path) -> bool:
    """Whether the file is there, or comes in time."""
    deadline = time.monotonic() + PATIENCE
    while not mark.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _not_shared(first: str, blind: Sequence[str]) -> str:
    places = list(dict.fromkeys(blind))
    others = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return (
        f"the processes do not share one run folder: what process 0 writes to {first} is not in {places[0]}{others}; "
        "give --runs a folder that all nodes share, and the same model, data and version to all"
    )
