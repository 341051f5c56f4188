"""Rows as they come from a source: read anew whenever they are gone through, never held."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.system.errors import HermesError

IMAGE_COLUMN = re.compile(r"image(_\d+)?|img_path")


@dataclass(frozen=True)
class Rows:
    """Rows that ``read`` opens anew each time. ``ungrouped``: each is a group of its own, the order is the file's."""

    read: Callable[[], Iterable[Row]]
    ungrouped: bool = False

    def __iter__(self) -> Iterator[Row]:
        return iter(self.read())


def checked(rows: Iterable[Row], columns: Sequence[str], where: str) -> Iterator[Row]:
    """The rows as they come. Raises HermesError at the first that lacks a column."""
    for number, row in enumerate(rows, 1):
        for column in columns:
            if column not in row:
                present = ", ".join(map(str, row))
                raise HermesError(f"{where}: row {number} has no column {column!r} (it has {present}); add the column")
        yield row


def joined(rows: Iterable[Row], images: Mapping[str, Any], key: str, column: str, where: str) -> Iterator[Row]:
    """The rows, each with ``images[row[key]]`` as its ``column``. Raises HermesError where one has none."""
    for row in rows:
        name = str(row.get(key))
        if name not in images:
            raise HermesError(f"{where}: no image has the id {name!r} that a row's {key} names; add it")
        yield {**row, column: images[name]}


def with_image_paths(row: Mapping[str, Any], file: Path) -> Row:
    """The row with the names of image files as paths from the folder of its file."""
    paths = {
        column: os.path.join(os.path.dirname(file), value)
        for column, value in row.items()
        if _holds_images(column) and isinstance(value, str) and value
    }
    return {**row, **paths}


@lru_cache
def _holds_images(column: str) -> bool:
    return IMAGE_COLUMN.fullmatch(column) is not None
