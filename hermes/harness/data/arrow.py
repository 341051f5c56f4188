"""The Arrow files in which `datasets` keeps a table: which row lies in which of them, and a cell without `datasets`."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from hermes.harness.data.stamps import Stamp, file_stamp
from hermes.harness.records.images import CellPlace

OPEN = 8  # Files that stay mapped.


class ArrowFile(NamedTuple):
    """A file of a table, and which of the table's rows is its first."""

    first: int
    path: str


def arrow_files(table: Any) -> list[ArrowFile]:
    """The files of a `datasets` table in the order of its rows; none where its rows are not simply theirs."""
    files: list[ArrowFile] = []
    rows = 0
    if getattr(table, "_indices", None) is None:
        for entry in table.cache_files:
            files.append(ArrowFile(rows, str(entry["filename"])))
            rows += _mapped(files[-1].path, file_stamp(files[-1].path)).num_rows
    return files if rows == len(table) else []


def arrow_place(files: Sequence[ArrowFile], column: str, row: int) -> CellPlace | None:
    """Where the cell of a table lies; None where there are no files."""
    if not files:
        return None
    file = files[bisect_right(files, row, key=lambda one: one.first) - 1]
    return CellPlace("arrow", file.path, column, row - file.first)


def arrow_cell(path: str, column: str, row: int) -> Any:
    """What the cell holds; an image is {"bytes", "path"}."""
    return _mapped(path, file_stamp(path)).column(column)[row].as_py()


@lru_cache(maxsize=OPEN)
def _mapped(path: str, stamp: Stamp) -> Any:
    """The table of a file as it was at the ``stamp``, mapped into memory: what is not looked at is not read."""
    import pyarrow

    with pyarrow.memory_map(path) as file:
        return pyarrow.ipc.open_stream(file).read_all()
