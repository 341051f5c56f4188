"""Replies that were paid for, kept in an append-only file that all runs share, so that none is paid for twice."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from hermes.harness.records.journal import sealed, unsealed
from hermes.harness.system.disk import ends_torn, make_folder, sync_file, sync_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error
from hermes.harness.system.parsing import json_value


class ReplyStore:
    """JSON lines, each with a "key", a "reply" and a checksum; several threads and processes may write to one file.

    A line that a crash left unfinished, or that is damaged, is skipped: its question is asked again. Raises HermesError
    where the file can be neither read nor written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        try:
            make_folder(path.parent)
            path.touch()
            sync_file(path)  # a killed process may have left lines unsynced
            sync_folder(path.parent)
            with path.open("rb") as file:
                torn = ends_torn(file)
            if torn:
                self._append(b"\n")
            self._replies = dict(_read(path))
        except OSError as error:
            raise self._unusable(error) from None

    def __contains__(self, key: str) -> bool:
        return key in self._replies

    def __getitem__(self, key: str) -> str:
        return self._replies[key]

    def put(self, key: str, reply: str, **notes: Any) -> None:
        """Keep a reply; it is on the disk when this returns. ``notes`` say what was asked."""
        line = sealed(json.dumps({"key": key, **notes, "reply": reply}))
        with self._lock:
            self._replies[key] = reply
            try:
                self._append(line)
            except OSError as error:
                raise self._unusable(error) from None

    def _append(self, line: bytes) -> None:
        """One write without a buffer, so that the lines of other processes stay whole."""
        with self.path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())

    def _unusable(self, error: OSError) -> HermesError:
        return file_error(self.path, error, "set HERMES_CACHE to a folder for the judge's replies", "used")


def _read(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        for line in file:
            body = unsealed(line)
            try:
                record = json_value(body or line)
            except ValueError:
                continue
            # Lines from before there were checksums end with the reply; a damaged line of today does not.
            if isinstance(record, Mapping) and (body or list(record)[-1:] == ["reply"]):
                key, reply = record.get("key"), record.get("reply")
                if isinstance(key, str) and isinstance(reply, str):
                    yield key, reply
