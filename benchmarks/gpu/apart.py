"""A check in a process of its own, which a deadline, a crash or a full card ends alone.

The process is a fork of one that has imported the libraries and has not touched the device, so it begins at once. Where
an import has touched it, forks cannot use it, and processes must be spawned.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, Literal

from gpu.measuring import Figure, Place, Skipped

Way = Literal["fork", "spawn"]
Check = Callable[[Place], Iterator[Figure]]


def outcome(check: Check, place: Place, deadline: float, way: Way = "fork") -> dict[str, Any]:
    """How a check ended, its seconds, and its figures as they came, those before a failure too.

    ``state``: done, failed (``why``), skipped (``why``) or out of time.
    """
    context: Any = multiprocessing.get_context(way)
    here, there = context.Pipe(duplex=False)
    begin = time.monotonic()
    process = context.Process(target=_run, args=(check, place, there))
    process.start()
    there.close()
    figures = list[dict[str, Any]]()
    state, why = "out of time", f"stopped after {deadline:.0f} s"
    try:
        while here.poll(max(0.0, begin + deadline - time.monotonic())):
            kind, told = here.recv()
            if kind != "figure":
                state, why = kind, told
                break
            figures.append(told)
    except EOFError:
        process.join()
        state, why = "failed", f"its process ended with {process.exitcode}"
    process.kill()
    process.join()
    if state == "done" and (wrong := [figure["name"] for figure in figures if figure["ok"] is False]):
        state, why = "failed", f"not as it must be: {'; '.join(wrong)}"
    return {"state": state, "why": why, "seconds": round(time.monotonic() - begin, 2), "figures": figures}


def _run(check: Check, place: Place, pipe: Connection) -> None:
    try:
        for figure in check(place):
            pipe.send(("figure", asdict(figure)))
        pipe.send(("done", ""))
    except Skipped as reason:
        pipe.send(("skipped", str(reason)))
    except ModuleNotFoundError as error:
        pipe.send(("skipped", f"{error.name} is not installed"))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
