"""Replies that were paid for, kept in an append-only file that all runs share, so that none is paid for twice."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from hermes.harness.errors import HermesError


class ReplyStore:
    """JSON lines, each with a "key" and a "reply"; several threads and processes may write to one file.

    A line that a crash left unfinished is skipped: its question is asked again. Raises HermesError where the file can
    be neither read nor written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            if _torn(path):
                self._append("\n")
            self._replies = dict(_read(path))
        except OSError as error:
            raise self._unusable(error) from None

    def __contains__(self, key: str) -> bool:
        return key in self._replies

    def __getitem__(self, key: str) -> str:
        return self._replies[key]

    def put(self, key: str, reply: str, **notes: Any) -> None:
        """Keep a reply; when this returns, a killed process loses it no more. ``notes`` say what was asked."""
        line = json.dumps({"key": key, **notes, "reply": reply}) + "\n"
        with self._lock:
            self._replies[key] = reply
            try:
                self._append(line)
            except OSError as error:
                raise self._unusable(error) from None

    def _append(self, line: str) -> None:
        """One write without a buffer, so that the lines of other processes stay whole."""
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode())

    def _unusable(self, error: OSError) -> HermesError:
        return HermesError(f"{self.path} cannot hold the judge's replies ({error.strerror}); set HERMES_CACHE")


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read() not in (b"", b"\n")


def _read(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, Mapping) and isinstance(record.get("key"), str):
                reply = record.get("reply")
                if isinstance(reply, str):
                    yield record["key"], reply
