"""Files that survive a power cut: whole or not at all, and on the disk before anything refers to them."""

import errno
import json
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout
from pydantic import BaseModel

from hermes.harness.system.errors import HermesError

LOCK = ".lock"
PART = re.compile(r"\..+\.\d+\.part")
NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)  # of file systems that sync files alone, or need not sync


def make_folder(folder: Path) -> None:
    """The folder and those above it, each entered in its parent on the disk."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    _sync_name(folder.absolute())
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


@cache
def _sync_name(folder: Path) -> None:
    """Once for every folder that is there already: whoever made it may have been killed before its name was synced."""
    if folder != folder.parent:
        _sync_name(folder.parent)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in the folder are on the disk, where the system can: Windows cannot open folders."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # what may be entered but not read cannot be synced
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDERS:
            raise
    finally:
        os.close(handle)


def write_new(path: Path, data: bytes) -> None:
    """Put a whole file in the place of ``path`` or leave all as it was; its name is on the disk after `sync_folder`."""
    with _replacing(path) as file:
        file.write(data)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, its data on the disk; otherwise it is removed.

    Raises HermesError where ``path`` is something else than a file: a device, for instance, is not to be replaced.
    """
    if path.exists() and not path.is_file():
        raise HermesError(f"{path} is not a file and is not replaced; give another path")
    part = part_of(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def part_of(path: Path) -> Path:
    """Where this process writes what will be ``path``; `remove_parts` removes what a killed one has left."""
    # Processes of two machines may have one number.
    machine = zlib.crc32(socket.gethostname().encode())
    return path.with_name(f".{path.name[:120]}.{machine}{os.getpid()}.part")


def remove_parts(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed. The caller must hold the folder's lock."""
    for part in folder.glob(".*.part"):
        if PART.fullmatch(part.name) and (part.is_file() or part.is_symlink()):
            part.unlink(missing_ok=True)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a whole file or nothing: readers never see half of it, and it is on the disk afterwards."""
    make_folder(path.parent)
    write_new(path, data.encode() if isinstance(data, str) else data)
    sync_folder(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """`write_atomic` for what comes bit by bit: the file is there when the block ends well, or not."""
    make_folder(path.parent)
    with _replacing(path) as file:
        yield file
    sync_folder(path.parent)


@contextmanager
def new_lines(path: Path) -> Iterator[Callable[[str], None]]:
    """`new_file` for lines."""
    with new_file(path) as file:

        def add(line: str) -> None:
            file.write(line.encode() + b"\n")

        yield add


def append_line(path: Path, line: str) -> None:
    """Add one line to a file, and wait until it is on the disk; a torn line before it stays a line of its own."""
    make_folder(path.parent)
    with path.open("ab+") as file:
        file.write((b"\n" if ends_torn(file) else b"") + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def ends_torn(file: BinaryIO) -> bool:
    """Whether a process or the power has taken the rest of the last line."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def sync_file(path: Path) -> None:
    """Wait until what a file holds is on the disk, whoever wrote it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def put_in_place(part: Path, path: Path) -> None:
    """Give a whole file that a library wrote its place in the same file system; it is on the disk afterwards."""
    sync_file(part)
    os.replace(part, path)
    sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Wait until all files and names below a folder, and its own, are on the disk, for files that a library wrote."""
    for home, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(home) / name)
        sync_folder(Path(home))
    sync_folder(folder.parent)


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """A folder that a library writes, whole or not at all: it gets its name when all that is in it is on the disk."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write(part)
    sync_tree(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    sync_folder(folder.parent)


def write_json(path: Path, content: Any) -> None:
    write_atomic(path, json_text(content))


def json_text(content: Any) -> str:
    """Pretty JSON; NaN becomes null, so that every JSON reader can read it."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> None:
    with new_lines(path) as add:
        for record in records:
            add(record.model_dump_json())


def read_json(path: Path, remedy: str = "remove it and run the same command again") -> dict[str, Any]:
    """The object that the file holds. Raises HermesError that names the file and says the ``remedy``."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HermesError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise HermesError(f"{path} is not valid JSON ({error}); {remedy}") from None
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no JSON object; {remedy}")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


@contextmanager
def locked(folder: Path, wait: Callable[[], None] | None = None, name: str = LOCK) -> Iterator[None]:
    """Keep a second command from writing to the same folder; the lock dies with the process.

    A folder that is locked is an error, or, with ``wait``, waited for after ``wait()`` was called once to say so.
    """
    try:
        make_folder(folder)
        lock = FileLock(folder / name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait is None:
                raise HermesError(f"another hermes command is writing to {folder}; wait for it or stop it") from None
            wait()
            lock.acquire()
    except OSError as error:
        raise HermesError(f"{folder} cannot be written to ({error.strerror}); give another --out") from None
    try:
        yield
    finally:
        lock.release()
