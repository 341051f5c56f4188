"""The run folder: journals that are only ever appended to, images stored once, and files replaced in one step."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from PIL import Image
from pydantic import ValidationError

from hermes.harness.errors import HermesError
from hermes.harness.images import ImageHandle, png_bytes
from hermes.harness.types import Judgement, Record, Response

R = TypeVar("R", Response, Judgement)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a whole file or nothing: readers never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data.encode() if isinstance(data, str) else data)
    os.replace(part, path)


def write_json(path: Path, content: Any) -> None:
    write_atomic(path, json_text(content))


def json_text(content: Any) -> str:
    """Pretty JSON; NaN becomes null, so that every JSON reader can read it."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    write_atomic(path, "".join(record.model_dump_json() + "\n" for record in records))


def read_json(path: Path) -> dict[str, Any]:
    """The object that the file holds. Raises HermesError that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HermesError(f"{path} cannot be read ({error.strerror}); give a run folder") from None
    except ValueError as error:
        raise HermesError(f"{path} is not valid JSON ({error}); run the command again with --fresh") from None
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no JSON object; run the command again with --fresh")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


class Journal(Generic[R]):
    """Records of one kind in ``<stem>.<rank>.jsonl``, one file for each process, appended and flushed batch by batch.

    Keyed by (sample_id, index); a later line replaces an earlier one, but an error never replaces an answer (processes
    of an earlier run may have left either). A torn last line is dropped.
    """

    def __init__(self, folder: Path, stem: str, record: type[R], rank: int = 0) -> None:
        self.folder = folder
        self.stem = stem
        self.record: type[R] = record
        self.path = folder / f"{stem}.{rank}.jsonl"

    def read(self) -> dict[tuple[str, int], R]:
        found: dict[tuple[str, int], R] = {}
        for path in sorted(self.folder.glob(f"{self.stem}.*.jsonl")):
            for number, line in _whole_lines(path):
                try:
                    record = self.record.model_validate_json(line)
                except ValidationError:
                    raise HermesError(
                        f"{path}: line {number} is not a {self.record.__name__}; remove the line or use --fresh"
                    ) from None
                key = (record.sample_id, record.index)
                if key not in found or not _failed(record):
                    found[key] = record
        return found

    def append(self, records: Iterable[R]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _drop_torn_tail(self.path)
        with self.path.open("ab") as file:
            file.write("".join(record.model_dump_json() + "\n" for record in records).encode())
            file.flush()
            os.fsync(file.fileno())


def _failed(record: Response | Judgement) -> bool:
    return record.error is not None


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def _drop_torn_tail(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


class ResponseStore:
    """The responses of one evaluator (or one drawing of candidates) and the images they point to."""

    def __init__(self, folder: Path, media: Path, rank: int = 0) -> None:
        self.journal = Journal(folder, "responses", Response, rank)
        self.media = media

    def read(self) -> dict[tuple[str, int], Response]:
        return self.journal.read()

    def append(self, responses: Iterable[Response]) -> None:
        self.journal.append(responses)

    def keep_image(self, image: Image.Image) -> str:
        """Store the image as PNG, once; returns the sha256 of its bytes."""
        data = png_bytes(image)
        digest = hashlib.sha256(data).hexdigest()
        path = self.media / f"{digest}.png"
        if not path.exists():
            write_atomic(path, data)
        return digest

    def image(self, response: Response) -> ImageHandle:
        """The stored image of a response that has one."""
        if response.image is None:
            raise ValueError(f"response {response.sample_id}/{response.index} holds no image")
        path = self.media / f"{response.image}.png"
        return ImageHandle(path, where=f"{path} ({response.sample_id}, image {response.index})")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second command from writing to the same run folder; the lock dies with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise HermesError(f"{folder} cannot be written to ({error.strerror}); give another --out") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HermesError(f"another hermes command is writing to {folder}; wait for it or stop it") from None
        yield
