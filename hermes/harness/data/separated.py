"""Rows of CSV and TSV files. Images as base64 stay in the file until somebody opens them."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hermes.harness.contracts.benchmark import Row
from hermes.harness.contracts.fields import nested
from hermes.harness.data.rows import IMAGE_COLUMN, BadRow, with_image_paths
from hermes.harness.records.images import Cell, CellPlace
from hermes.harness.records.sources import is_base64
from hermes.harness.system.errors import HermesError

LONGEST_CELL = 1 << 30  # Images as base64 are longer than the 128 KB that Python's csv allows.
LONG = 1 << 12  # Characters that only images have, also several in a list; a path may be no longer.
DELIMITERS = {".csv": ",", ".tsv": "\t"}
INDEX = "index"


@dataclass(frozen=True, slots=True)
class TextCell(Cell):
    """An image cell that is base64 text; ``count`` images, in the row whose index is ``owner``."""

    count: int = field(default=1, kw_only=True)
    owner: str = field(default="", kw_only=True)


class _Lines:
    """The lines of a file as text, and how many bytes of it were read."""

    def __init__(self, file: BinaryIO, at: int = 0) -> None:
        self.file, self.at = file, at
        file.seek(at)

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            text = line.decode("utf-8" if self.at else "utf-8-sig")
            self.at += len(line)
            yield text


def separated_rows(path: Path) -> Iterator[Row]:
    """The rows of a file with a header. Raises HermesError that names the file where it is no such file.

    A short image cell that is the index of a row before means that row's image, as in VLMEvalKit's files.
    """
    csv.field_size_limit(LONGEST_CELL)
    owners: dict[str, TextCell] = {}
    try:
        with path.open("rb") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=DELIMITERS[path.suffix.lower()])
            header = next(reader, [])
            at, number = lines.at, 0
            for cells in reader:
                start, at = at, lines.at
                if not cells:
                    continue
                number += 1
                if any(cells[len(header) :]):
                    what = f"row {number} has more cells than the header; quote those that hold a separator"
                    yield BadRow(HermesError(f"{path}: {what}"))
                    continue
                row: dict[str, Any] = dict(zip(header, cells, strict=False))
                yield with_image_paths({**row, **_images(path, start, header, row, owners)}, path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise HermesError(f"{path} cannot be read as CSV ({error}); write the file again") from None


def _images(
    path: Path, start: int, header: list[str], row: dict[str, Any], owners: dict[str, TextCell]
) -> dict[str, TextCell]:
    """The cells of a row that hold images as text, or the index of a row that does."""
    found = {}
    for place, column in enumerate(header):
        text = row.get(column, "")
        if not IMAGE_COLUMN.fullmatch(column):
            continue
        if len(text) >= LONG or is_base64(text):
            owner = row.get(INDEX, "")
            name = f"{path}#{start}/{column}"
            at = CellPlace("text", os.path.abspath(path), place, start)
            cell = TextCell(partial(text_cell, path, start, place), name, at, count=_count(text), owner=owner)
            found[column] = cell
            if INDEX in row and column == "image":
                owners[owner] = cell
        elif text in owners:
            found[column] = owners[text]
    return found


def _count(text: str) -> int:
    images = nested(text)
    return len(images) if isinstance(images, list) else 1


def text_cell(path: Path, start: int, place: int) -> str:
    """One cell of the row that begins at a byte of the file."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open("rb") as file:
        return next(csv.reader(_Lines(file, start), delimiter=DELIMITERS[path.suffix.lower()]))[place]
