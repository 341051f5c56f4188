"""Self-plays side by side, each in a process of its own: what one leaves in memory goes with it, and if it is killed
the others go on."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from hermes.align.settings import AlignSettings
from hermes.harness.system.errors import HermesError

GO_ON = "the same command goes on where it was"


class Child(NamedTuple):
    """A self-play that is being played: its place among those wanted, its process, what that says, and its GPU."""

    number: int
    process: SpawnProcess
    said: Connection
    card: str


def played(wanted: Sequence[AlignSettings], workers: int) -> Iterator[tuple[int, str | None]]:
    """Play each to its end, ``workers`` at a time; as each ends, its place and why it failed, None where it did not."""
    free = [""] if workers == 1 else [_card(number) for number in reversed(range(min(workers, len(wanted))))]
    waiting, running = deque(enumerate(wanted)), list[Child]()
    try:
        while waiting or running:
            while waiting and free:
                running.append(_start(*waiting.popleft(), free.pop(), workers))
            ready = wait([child.said for child in running])
            for child in [child for child in running if child.said in ready]:
                running.remove(child)
                free.append(child.card)
                yield child.number, _outcome(child)
    finally:
        for child in running:
            child.process.terminate()


def _card(number: int) -> str:
    """The GPU that a worker sees, "" for as many as there are."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not seen:
        import torch

        seen = [str(card) for card in range(torch.cuda.device_count())]
    return seen[number % len(seen)] if seen else ""


def _start(number: int, settings: AlignSettings, card: str, workers: int) -> Child:
    context = multiprocessing.get_context("spawn")
    said, end = context.Pipe(duplex=False)
    process = context.Process(target=_play_here, args=(settings, card, workers, end))
    process.start()
    end.close()
    return Child(number, process, said, card)


def _outcome(child: Child) -> str | None:
    """Why the self-play failed, None where it did not; waits for the process."""
    try:
        why: str | None = child.said.recv()
    except EOFError:
        child.process.join()
        code = child.process.exitcode or 0
        if code < 0:
            name, why = signal.Signals(-code).name, ", as systems do that run out of memory" * (-code == signal.SIGKILL)
            return f"its process was killed ({name}){why}; {GO_ON}"
        return f"its process ended with exit code {code}; {GO_ON}"
    finally:
        child.said.close()
    child.process.join()
    return why


def _play_here(settings: AlignSettings, card: str, workers: int, said: Connection) -> None:
    """What a process does: play with its share of the cores and one GPU, and say at the end how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is interrupted, too, and ends this process
    threading.Thread(target=_end_with_command, daemon=True).start()
    if card:
        os.environ["CUDA_VISIBLE_DEVICES"] = card
    import torch

    from hermes.align.play.selfplay import align

    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // workers)))
    try:
        align(settings)
    except HermesError as error:
        said.send(str(error))
    else:
        said.send(None)


def _end_with_command() -> None:
    if command := multiprocessing.parent_process():
        command.join()
        os._exit(1)
