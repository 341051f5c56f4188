"""What each process of a run was asked, in files of THEIRS_LOG; with THEIRS_PROCESSES all of them must be asked."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 120.0
"""Seconds; a process that was asked nothing by then is a finding, and the test that reads the files says so."""


def note_asked(who: str, keys: Iterable[str]) -> None:
    """Write the keys down; where THEIRS_PROCESSES is given, wait until that many processes have asked ``who``.

    A fast process may rightly do all the work before a slow one has begun, so a test of sharing must hold it back.
    """
    if not (folder := os.environ.get("THEIRS_LOG")):
        return
    with open(f"{folder}/{who}.{os.getpid()}", "a") as file:
        file.writelines(f"{key}\n" for key in keys)
    deadline = time.monotonic() + PATIENCE
    while len(list(Path(folder).glob(f"{who}.*"))) < int(os.environ.get("THEIRS_PROCESSES", "1")):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
