"""Journals: records that are only ever appended to, each line with a checksum; any of them is found by its key.

A line is the record as JSON with the CRC-32 of the rest as its last member. A torn last line is dropped, a damaged one
is passed over and named. What is held in memory of a record is its key and its place, some forty bytes.
"""

import hashlib
import os
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from hermes.harness.records.types import Judgement, Response
from hermes.harness.system.disk import ends_torn, make_folder, sync_folder

R = TypeVar("R", Response, Judgement)

MARK = b',"crc32":"'
TAIL = len(MARK) + 8 + len(b'"}')


def sealed(text: str) -> bytes:
    """A line of the journal: a JSON object with its own checksum as the last member."""
    body = text.encode()
    return body[:-1] + MARK + b"%08x" % zlib.crc32(body) + b'"}\n'


def unsealed(line: bytes) -> bytes | None:
    """The JSON object of a line as it was before it got its checksum; None where line and checksum do not fit."""
    body = line[: -TAIL - 1] + b"}"
    tail = line[-TAIL - 1 :]
    if tail[: len(MARK)] != MARK or tail[len(MARK) :] != b'%08x"}\n' % zlib.crc32(body):
        return None
    return body


class Journal(Generic[R]):
    """Records of one kind in ``<stem>.<rank>.jsonl``, one file for each process, appended batch by batch.

    Records are told apart by ``key``: a later one replaces an earlier one, but an error never replaces an answer
    (processes of an earlier run may have left either).
    """

    def __init__(self, folder: Path, stem: str, record: type[R], rank: int = 0) -> None:
        self.folder = folder
        self.stem = stem
        self.record: type[R] = record
        self.path = folder / f"{stem}.{rank}.jsonl"
        self._whole = False

    def append(self, records: Iterable[R]) -> None:
        """Add the records; they are on the disk when this returns."""
        lines = b"".join(sealed(record.model_dump_json()) for record in records)
        if not lines:
            return
        if not self._whole:
            make_folder(self.folder)
            _drop_torn_tail(self.path)
        new = not (self._whole and self.path.exists())  # a file of a killed process may lack its name on the disk
        self._whole = False  # should the write fail, its part of a line goes with the next one
        with self.path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.folder)
        self._whole = True

    def files(self) -> list[Path]:
        """The files of all processes, sorted by name."""
        return sorted(self.folder.glob(f"{self.stem}.*.jsonl"))

    def index(self) -> "Index[R]":
        """Where each record is, as of now."""
        return Index(self.files(), self.record)

    def hashes(self) -> list[tuple[str, str]]:
        """Name and hash of every file."""
        found = []
        for path in self.files():
            with path.open("rb") as file:
                found.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
        return found


class Index(Generic[R]):
    """The places of the newest record of every key; ``damaged`` names the lines whose checksum does not fit."""

    def __init__(self, files: Sequence[Path], record: type[R]) -> None:
        self.files = files
        self.record: type[R] = record
        self.damaged: list[str] = []
        keys, contents, good = array("Q"), array("Q"), array("b")
        numbers, starts, lengths = array("H"), array("Q"), array("L")
        for number, path in enumerate(files):
            for start, length, body in whole_lines(path, self.damaged):
                entry = from_json(body)
                keys.append(_number(entry["key"]))
                contents.append(_number(entry.get("content") or entry["key"]))
                good.append(entry.get("error") is None)
                numbers.append(number)
                starts.append(start)
                lengths.append(length)
        places = np.arange(len(keys))
        ok = np.frombuffer(good, dtype=np.int8) if good else np.zeros(0, dtype=np.int8)
        newest = _last_of_each(_numbers(keys), ok, places)
        self._keys = _numbers(keys)[newest]
        self._ok = ok[newest].astype(bool)
        self._file = np.frombuffer(numbers, dtype=np.uint16)[newest] if numbers else np.zeros(0, dtype=np.uint16)
        self._start, self._length = _numbers(starts)[newest], _numbers(array("Q", lengths))[newest]
        by_content = _numbers(contents)[newest]
        self._by_content = np.lexsort((~self._ok, by_content))  # of equal contents an answer comes before an error
        self._contents = by_content[self._by_content]

    def __len__(self) -> int:
        return len(self._keys)

    def complaint(self) -> str | None:
        """What to say of damaged lines, in one line; None where there are none."""
        if not self.damaged:
            return None
        others = f" and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
        return f"damaged lines are passed over, what they held is asked again: {self.damaged[0]}{others}"

    def answered(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """For each key whether there is a record without an error."""
        places, found = _find(self._keys, keys)
        return found & self._ok[places] if len(self) else found

    def get(self, keys: Sequence[str]) -> list[R | None]:
        """For each key its record, None where there is none."""
        places, found = _find(self._keys, keys)
        return self._read(keys, places, found, _key)

    def get_by_content(self, contents: Sequence[str]) -> list[R | None]:
        """For each content a record without an error that has it, None where there is none."""
        places, found = _find(self._contents, contents)
        if len(self):
            places = self._by_content[places]
            found &= self._ok[places]
        return self._read(contents, places, found, _content)

    def _read(
        self,
        names: Sequence[str],
        places: NDArray[np.intp],
        found: NDArray[np.bool_],
        name_of: Callable[[Response | Judgement], str],
    ) -> list[R | None]:
        """The records at the places that were found, where their whole name is the wanted one."""
        records: list[R | None] = [None] * len(names)
        wanted = np.flatnonzero(found)
        places = places[wanted]
        lines = (column[places].tolist() for column in (self._file, self._start, self._length))
        with ExitStack() as stack:
            handles: dict[int, int] = {}
            for at, number, start, length in zip(wanted.tolist(), *lines, strict=True):
                if number not in handles:
                    handles[number] = stack.enter_context(self.files[number].open("rb")).fileno()
                body = unsealed(os.pread(handles[number], length, start))
                record = self.record.model_validate_json(body) if body else None
                if record is not None and name_of(record) == names[at]:
                    records[at] = record
        return records


def whole_lines(path: Path, damaged: list[str]) -> Iterator[tuple[int, int, bytes]]:
    """(place, length, JSON) of every whole line of a journal's file; the others are named in ``damaged``.

    A torn last line is none, and blocks that were never written are none.
    """
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                body = unsealed(line)
                if body is None:
                    damaged.append(f"{path} line {number}")
                else:
                    yield start, len(line), body
            start += len(line)


def _key(record: Response | Judgement) -> str:
    return record.key


def _content(record: Response | Judgement) -> str:
    return (record.content if isinstance(record, Response) else "") or record.key


def _number(key: str) -> int:
    """The first eight bytes of a key; the whole key is compared when the record is read."""
    return int(key[:16], 16)


def _numbers(values: "array[int]") -> NDArray[np.uint64]:
    return np.frombuffer(values, dtype=np.uint64) if values else np.zeros(0, dtype=np.uint64)


def _last_of_each(keys: NDArray[np.uint64], ok: NDArray[np.int8], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """The place of the last good record of every key, of its last one where none is good; sorted by key."""
    order = np.lexsort((places, ok, keys))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = keys[order][1:] != keys[order][:-1]
    return order[last]


def _find(known: NDArray[np.uint64], wanted: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For each wanted key its place among the sorted known ones, and whether it is there."""
    if not len(known):
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted), dtype=bool)
    numbers = np.fromiter((_number(key) for key in wanted), dtype=np.uint64, count=len(wanted))
    places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return places, known[places] == numbers


def _drop_torn_tail(path: Path) -> None:
    """Cut what follows the last line end: a line of which a process or the power took the rest."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        if not ends_torn(file):
            return
        size = file.tell()
        while size > 0:
            size -= (step := min(size, 1 << 16))
            file.seek(size)
            if (at := file.read(step).rfind(b"\n")) >= 0:
                size += at + 1
                break
        file.truncate(size)
        os.fsync(file.fileno())
