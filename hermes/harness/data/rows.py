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
from hermes.harness.system.errors import HermesError, RowsError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.registry import reason

IMAGE_COLUMN = re.compile(r"image(_\d+|_path|s)?|img_path")


@dataclass(frozen=True)
class Rows:
    """Rows that ``read`` opens anew each time. ``ungrouped``: each is a group of its own, the order is the file's."""

    read: Callable[[], Iterable[Row]]
    ungrouped: bool = False

    def __iter__(self) -> Iterator[Row]:
        return iter(self.read())


class BadRow(dict[str, Any]):
    """Stands where a row cannot be read; ``error`` says so.

    Of rows with a ``why``, which is the reason without the row, all are said at once.
    """

    def __init__(self, error: HermesError, why: str = "") -> None:
        super().__init__()
        self.error, self.why = error, why


def good_rows(rows: Iterable[Row], where: str = "") -> Iterator[Row]:
    """The rows as they come. Raises the error of the first that cannot be read, or one that lists all of them."""
    stream = enumerate(rows, 1)
    for number, row in stream:
        if isinstance(row, BadRow):
            raise _refused(row, number, stream, where) if row.why else row.error
        yield row


def _refused(first: BadRow, number: int, rest: Iterator[tuple[int, Row]], where: str) -> HermesError:
    """What to raise for all rows that cannot be used, of which this is the first: one line where all are alike."""
    bad = [first]
    for number, row in rest:  # noqa: B007 - the last number counts the rows
        if isinstance(row, BadRow):
            bad.append(row)
    if len(bad) == number and len({row.why for row in bad}) == 1:
        return HermesError(f"{where}: none of {number} rows can be used: {first.why}")
    count = f"{len(bad)} of {number} rows cannot be used; fix {'them' if len(bad) > 1 else 'it'}"
    return RowsError(f"{where}: {count}, nothing was asked", (str(row.error) for row in bad))


def checked(rows: Iterable[Row], spec: DataSpec, columns: Sequence[str], where: str) -> Iterator[Row]:
    """The rows as they come, tidied. Raises HermesError at the first that lacks one of the columns."""
    for number, row in enumerate(good_rows(rows, where), 1):
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


def with_column(column: str, evaluator: Evaluator, rows: Iterable[Row], where: str) -> Iterator[Sample]:
    """The evaluator's samples, each with the text in this column of its row in place of its prompt.

    A sample's row is the last that the evaluator has read for it. Raises HermesError for a row without text there.
    """
    last: Row = {}
    number = 0

    def noted() -> Iterator[Row]:
        nonlocal last, number
        for number, last in enumerate(rows, 1):  # noqa: B007 - both are looked at below
            yield last

    for sample in samples_of(evaluator, noted(), where):
        text = last[column]
        if not isinstance(text, str) or not text.strip():
            raise HermesError(f"{where}: row {number} has no text in column {column!r}, which --rewrite names; add it")
        yield sample.rewritten(text)


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
