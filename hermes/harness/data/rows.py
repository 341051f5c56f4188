"""Rows as they come from a source: read anew whenever they are gone through, never held."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import DataSpec, Evaluator, Row
from hermes.harness.contracts.fields import tidied
from hermes.harness.records.sources import is_path, unwrapped
from hermes.harness.records.types import Sample
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.registry import reason

IMAGE_COLUMN = re.compile(r"image(_\d+|_path)?|img_path")


@dataclass(frozen=True)
class Rows:
    """Rows that ``read`` opens anew each time. ``ungrouped``: each is a group of its own, the order is the file's."""

    read: Callable[[], Iterable[Row]]
    ungrouped: bool = False

    def __iter__(self) -> Iterator[Row]:
        return iter(self.read())


class BadRow(dict[str, Any]):
    """Stands where a row cannot be read; ``error`` says why."""

    def __init__(self, error: HermesError) -> None:
        super().__init__()
        self.error = error


def good_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as they come. Raises the error of the first that cannot be read."""
    for row in rows:
        if isinstance(row, BadRow):
            raise row.error
        yield row


def checked(rows: Iterable[Row], spec: DataSpec, columns: Sequence[str], where: str) -> Iterator[Row]:
    """The rows as they come, tidied. Raises HermesError at the first that lacks one of the columns."""
    for number, row in enumerate(good_rows(rows), 1):
        for column in columns:
            if column not in row:
                present = ", ".join(map(str, row))
                raise HermesError(f"{where}: row {number} has no column {column!r} (it has {present}); add the column")
        try:
            tidy = tidied(row, spec.cells)
        except Exception as error:
            raise row_error(error, f"{where}: row {number}") from None
        yield tidy


def samples_of(evaluator: Evaluator, rows: Iterable[Row], where: str) -> Iterator[Sample]:
    """The evaluator's samples of the rows. Whatever it raises is a HermesError, with the row's number."""
    number = 0

    def counted() -> Iterator[Row]:
        nonlocal number
        for row in rows:
            number += 1
            yield row

    try:
        yield from evaluator.samples(counted())
    except Exception as error:
        raise row_error(error, f"{where}: row {number}") from None


def row_error(error: Exception, where: str) -> Exception:
    """What to raise for a row that something failed at: one line, unless the error is one or the machine's."""
    if isinstance(error, HermesError) or machine_failure(error):
        return error
    return HermesError(f"{where} cannot be read ({reason(error)}); fix the row")


def joined(rows: Iterable[Row], images: Mapping[str, Any], key: str, column: str, where: str) -> Iterator[Row]:
    """The rows, each with ``images[row[key]]`` as its ``column``. Raises HermesError where one has none."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        name = str(row.get(key))
        if name not in images:
            raise HermesError(f"{where}: no image has the id {name!r} that a row's {key} names; add it")
        yield {**row, column: images[name]}


def with_image_paths(row: Mapping[str, Any], file: Path) -> Row:
    """The row with its images taken out of lists and mappings, and the paths among them from the folder of its file."""
    home = os.path.dirname(file)
    return {**row, **{column: in_folder(cell, home) for column, cell in row.items() if _holds_images(column)}}


def in_folder(cell: Any, folder: str | Path) -> Any:
    """What a cell holds of an image, or of several; a path starts from the folder. None where it holds nothing."""
    source = unwrapped(cell)
    if isinstance(source, list | tuple):
        return [in_folder(one, folder) for one in source]
    if is_path(source):
        return os.path.join(folder, source)
    return None if _is_empty(source) else source


def _is_empty(source: Any) -> bool:
    """Whether a cell holds no picture: empty text, bytes or mapping, or pandas' NaN."""
    return not source if isinstance(source, str | bytes | dict) else isinstance(source, float) and source != source


@lru_cache
def _holds_images(column: str) -> bool:
    return IMAGE_COLUMN.fullmatch(column) is not None
