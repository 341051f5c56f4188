"""What a task asked, as its store keeps it for people to look at: prompt, right answer, and where the pictures are.

    <store>/samples/<fingerprint of the data>.jsonl       one `StoredSample` a line, in the order of the samples
    <store>/samples/<fingerprint of the data>.pictures    the pictures that lie in no file, one after the other

All protocols and judges of one task and data share them. Pictures that lie in files stay where they are; the others
are in one file, because a file for each would have to be waited for.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from hermes.harness.records.images import Cell, CellPlace, ImageHandle, png_bytes
from hermes.harness.records.sources import encoded, is_path, unwrapped
from hermes.harness.records.types import Ability, Record, Sample
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.text import plain

LONGEST_REASON = 200


class Reference(Record):
    """Where a picture is: exactly one of a file's ``path``, a ``cell`` of a table, and a ``part`` of the pictures.

    The part is its first byte and how many it has. ``missing`` says instead why there is none.
    """

    path: str | None = None
    cell: CellPlace | None = None
    part: tuple[int, int] | None = None
    missing: str | None = None


class StoredSample(Record):
    """A `Sample` without pixels. ``asked`` and ``whole`` are the digests that the keys of its answers are made of."""

    id: str
    group_id: str
    ability: Ability
    prompt: str
    target: Any = None
    choices: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)
    pictures: tuple[Reference, ...] = ()
    asked: str
    whole: str


def samples_path(store: Path, fingerprint: str) -> Path:
    """The file of the samples of some data in a store's folder."""
    return store / "samples" / f"{fingerprint}.jsonl"


def pictures_path(samples: Path) -> Path:
    """The file of the pictures that belong to a file of samples."""
    return samples.with_suffix(".pictures")


def in_file(handle: ImageHandle) -> Reference | None:
    """Where a picture lies; None for one that lies in no file."""
    source = handle.source
    if isinstance(source, Cell) and source.place is not None:
        return Reference(cell=source.place)
    if not callable(source) and is_path(path := unwrapped(source)):
        return Reference(path=str(Path(path).absolute()))
    return None


class Lines:
    """Makes the lines of samples; ``keep`` takes the bytes of pictures that lie in no file."""

    def __init__(self, keep: Callable[[bytes], object]) -> None:
        self._keep, self._kept = keep, 0
        self._last: tuple[Any, Reference] | None = None  # questions about one picture follow each other

    def line(self, sample: Sample, asked: bytes, whole: bytes) -> str:
        """The sample as a line of JSON; halves of surrogate pairs, which no file can hold, become "?"."""
        pictures = [self._reference(handle).model_dump(exclude_none=True) for handle in sample.images]
        fields: dict[str, Any] = {
            "id": sample.id,
            "group_id": sample.group_id,
            "ability": sample.ability,
            "prompt": sample.prompt,
            "target": sample.target,
            "choices": sample.choices,
            "metadata": sample.metadata,
            "pictures": pictures,
            "asked": asked.hex(),
            "whole": whole.hex(),
        }
        return json.dumps(fields, default=str, ensure_ascii=False).encode(errors="replace").decode()

    def _reference(self, handle: ImageHandle) -> Reference:
        if (lying := in_file(handle)) is not None:
            return lying
        if self._last is None or self._last[0] is not handle.source:
            self._last = (handle.source, self._copied(handle.source))
        return self._last[1]

    def _copied(self, source: Any) -> Reference:
        """A copy: the bytes as they are, pixels as PNG."""
        try:
            found = encoded(source() if callable(source) else source)
        except Exception as error:
            if machine_failure(error, alone=True):
                raise
            return Reference(missing=plain(str(error) or type(error).__name__, longest=LONGEST_REASON))
        data = found if isinstance(found, bytes) else png_bytes(found)
        self._keep(data)
        self._kept += len(data)
        return Reference(part=(self._kept - len(data), len(data)))


def read_samples(path: Path) -> Iterator[StoredSample]:
    """Every sample of a file, in order. Raises HermesError for a line that is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield read_sample(line, f"{path} line {number}")


def read_sample(line: bytes, where: str) -> StoredSample:
    """One line. Raises HermesError where it is no sample."""
    try:
        return StoredSample.model_validate_json(line)
    except ValidationError:
        raise HermesError(f"{where} is no sample; remove the file and run hermes eval again, which writes it") from None
