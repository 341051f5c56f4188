"""Processes meet through the store of their launch: whoever is early waits as long as the others are alive.

A collective of torch ends with its time limit, however busy the others are. Here a process is given up only when it has
ended, or gives no sign of life for that long.
"""

import atexit
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import say

SOON, LATER = 0.001, 0.2
"""Seconds between two looks at who has come: at first, and in the end."""
TELL = 60.0
"""Seconds after which it is said who is waited for, and then in growing distances."""
FAREWELL = 10.0
"""Seconds that a process with the store in it waits for the others to end."""
NAME = "hermes"


class Meeting:
    """All processes of a launch, as one of them meets the others; all must call the same methods in the same order.

    ``silence``: seconds without a sign of life after which a process that is waited for is given up.
    """

    def __init__(self, rank: int, world: int, silence: float) -> None:
        from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

        self.rank, self.world, self.silence = rank, world, silence
        self.tell: Callable[[str], object] = say
        self._doing = "starting"
        self._store: Any = PrefixStore(NAME, _get_default_store().clone())
        self._number = self._counters = 0
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, args=(self._store.clone(),), daemon=True)
        self._beating.start()
        atexit.register(self.leave)

    def doing(self, what: str) -> None:
        """What this process is at, for those who wait for it."""
        self._doing = what

    def arrive(self, word: bytes = b"-") -> list[bytes]:
        """Leave word, and return what each process has left, in the order of ranks, when all have come.

        Raises HermesError when one of them has ended or been silent for too long.
        """
        here, self._number = self._number, self._number + 1
        names = [f"{here}/{rank}" for rank in range(self.world)]
        with _reaching():
            self._store.set(names[self.rank], word)
            if not self._store.check(names):
                self._await(names)
            words: list[bytes] = self._store.multi_get(names)
            if here:  # all have come here, so all have read what was left the time before
                self._store.delete_key(f"{here - 1}/{self.rank}")
        return words

    def counter(self) -> Callable[[str, int], int]:
        """A function that adds to a number of this name and returns the sum of what all have added."""
        name, self._counters = f"count/{self._counters}", self._counters + 1

        def add(which: str, number: int) -> int:
            with _reaching():
                return int(self._store.add(f"{name}/{which}", number))

        return add

    def leave(self) -> None:
        """Take leave: whoever still waits for this process knows then that it will not come."""
        if self._over.is_set():
            return
        self._over.set()
        atexit.unregister(self.leave)
        try:
            self._store.set(f"gone/{self.rank}", b"-")
            everyone = [f"gone/{rank}" for rank in range(self.world)]
            until = time.monotonic() + (FAREWELL if self.rank == 0 and self._number else 0.0)
            while time.monotonic() < until and not self._store.check(everyone):
                time.sleep(LATER / 10)
        except RuntimeError:
            pass  # the store has ended before

    def _beat(self, store: Any) -> None:
        """A sign of life every now and then, with what is being done."""
        number = 0
        while not self._over.is_set():
            try:
                store.set(f"alive/{self.rank}", f"{number} {self._doing}")
            except RuntimeError:
                return  # the store has ended; who meets others will notice
            number += 1
            self._over.wait(min(5.0, self.silence / 4))

    def _await(self, names: Sequence[str]) -> None:
        began, pause, told = time.monotonic(), SOON, TELL
        signs: dict[int, tuple[bytes, float]] = {}
        looked = began
        while not self._store.check(list(names)):
            time.sleep(pause)
            pause, now = min(2 * pause, LATER), time.monotonic()
            if now - looked < min(1.0, self.silence / 4):
                continue
            looked = now
            missing = [rank for rank, name in enumerate(names) if not self._store.check([name])]
            self._look_for(missing, names, signs, now)
            if now - began >= told:
                told *= 3
                self.tell(f"process {self.rank} waits for {self._shown(missing, signs)}")

    def _look_for(
        self, missing: Sequence[int], names: Sequence[str], signs: dict[int, tuple[bytes, float]], now: float
    ) -> None:
        """Raise HermesError where one of these has ended, or has not been heard of for too long."""
        for rank in missing:
            # One that has come in the meantime may have gone on, and ended.
            if self._store.check([f"gone/{rank}"]) and not self._store.check([names[rank]]):
                raise HermesError(f"process {rank} has ended; its output says why, and the same command goes on")
            alive = f"alive/{rank}"
            sign = self._store.get(alive) if self._store.check([alive]) else b""
            if rank not in signs or signs[rank][0] != sign:
                signs[rank] = sign, now
            elif now - signs[rank][1] > self.silence:
                raise HermesError(
                    f"process {rank} has given no sign of life for {self.silence:g} s, after {_at(sign)}; its output "
                    "may say why, and the same command goes on where it was"
                )

    def _shown(self, missing: Sequence[int], signs: dict[int, tuple[bytes, float]]) -> str:
        first = ", ".join(f"process {rank} ({_at(signs[rank][0])})" for rank in missing[:3])
        return first + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")


@contextmanager
def _reaching() -> Iterator[None]:
    """Raise HermesError where the store is not reached."""
    try:
        yield
    except RuntimeError as error:  # torch's DistError: the process that holds the store has ended
        raise HermesError(
            "the other processes cannot be reached any more; their output says why, and the same command goes on "
            f"where it was ({str(error).splitlines()[0]})"
        ) from None


def _at(sign: bytes) -> str:
    return sign.decode(errors="replace").partition(" ")[2] or "starting"
