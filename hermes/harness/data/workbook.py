"""Rows of Excel's .xlsx files: those of the first sheet, one after the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.rows import with_image_paths
from hermes.harness.system.errors import HermesError, MissingExtra


def workbook_rows(path: Path) -> Iterator[Row]:
    """The rows under the header; a cell is text or a number, None where it is empty."""
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MissingExtra("reading .xlsx files", "xlsx") from None
    try:
        book: Any = load_workbook(path, read_only=True)
        try:
            rows = book.worksheets[0].iter_rows(values_only=True)
            header = next(rows, ())
            for cells in rows:
                row = {str(name): cell for name, cell in zip(header, cells, strict=False) if name is not None}
                if any(cell is not None for cell in row.values()):
                    yield with_image_paths(row, path)
        finally:
            book.close()
    except (InvalidFileException, BadZipFile, KeyError, IndexError, OSError) as error:
        raise HermesError(f"{path} cannot be read as a workbook ({error}); write the file again") from None
