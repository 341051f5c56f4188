"""Rows of parquet files: a thousand rows at a time, and each image when it is opened."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.rows import IMAGE_COLUMN, with_image_paths
from hermes.harness.data.stamps import Stamp, file_stamp
from hermes.harness.records.images import Cell, CellPlace
from hermes.harness.records.sources import unwrapped
from hermes.harness.system.errors import HermesError

ROWS = 1024
READ = 1 << 20  # Bytes of a column that are read at a time.
KEPT = 64 << 20  # Bytes of images that are kept.


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows whose encoded images are functions that read them from the file."""
    import pyarrow

    try:
        file = _opened(path)
        encoded = {
            field.name for field in file.schema_arrow if IMAGE_COLUMN.fullmatch(field.name) and _is_encoded(field.type)
        }
        plain = [f"{field.name}.path" if field.name in encoded else field.name for field in file.schema_arrow]
        for group in range(file.num_row_groups):
            batches = file.iter_batches(ROWS, row_groups=[group], columns=plain, use_threads=False)
            doubtful = {name for name in encoded if _holds_empty(file, group, name)}
            for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
                images = {
                    name: _cell(path, group, name, number)
                    for name in encoded
                    if row.get(name) is not None
                    and (name not in doubtful or unwrapped(_images.cell(path, group, name, number)))
                }
                yield {**with_image_paths(row, path), **dict.fromkeys(encoded), **images}
    except (pyarrow.ArrowException, OSError) as error:
        raise HermesError(f"{path} cannot be read as parquet ({error}); write the file again") from None


def _cell(path: Path, group: int, column: str, row: int) -> Cell:
    place = CellPlace("parquet", os.path.abspath(path), column, row, group)
    return Cell(partial(parquet_image, path, group, column, row), f"{path}#{group}/{column}/{row}", place)


def _opened(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path, buffer_size=READ, pre_buffer=False)


def _is_encoded(kind: Any) -> bool:
    """Whether a column holds images as `datasets` writes them, a struct of bytes and path."""
    from pyarrow import types

    return bool(types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind})


def _holds_empty(file: Any, group: int, column: str) -> bool:
    """Whether some of a column's images in a row group have no bytes, though they are no nulls."""
    described = file.metadata.row_group(group)
    parts = (described.column(number) for number in range(described.num_columns))
    statistics = next(part.statistics for part in parts if part.path_in_schema == f"{column}.bytes")
    nulls = file.read_row_group(group, columns=[f"{column}.path"], use_threads=False).column(0).null_count
    return statistics is None or not statistics.has_null_count or statistics.null_count > nulls


def parquet_image(path: Path, group: int, column: str, row: int) -> Any:
    """{"bytes", "path"} of one image; neighbours are mostly asked for next, so the last few row groups are kept."""
    cell = _images.cell(path, group, column, row)
    return {**cell, "path": str(path.parent / cell["path"]) if cell["path"] else None}


class _Images:
    """The images of the last row groups, as many as ``KEPT`` bytes hold, and of a large one the batch that is read."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Path, int, str, Stamp], Any] = {}

    def cell(self, path: Path, group: int, column: str, row: int) -> Any:
        key = (path, group, column, file_stamp(path))
        if key not in self._groups:
            self._groups[key] = self._read(path, group, column)
            while len(self._groups) > 1 and sum(kept.nbytes for kept in self._groups.values()) > KEPT:
                del self._groups[next(iter(self._groups))]
        return self._groups[key][row].as_py()

    def _read(self, path: Path, group: int, column: str) -> Any:
        file = _opened(path)
        described = file.metadata.row_group(group)
        parts = (described.column(number) for number in range(described.num_columns))
        size = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)
        if size > KEPT:
            return _LargeGroup(path, group, column, max(1, described.num_rows * KEPT // size))
        return file.read_row_group(group, columns=[column], use_threads=False).column(0)


class _LargeGroup:
    """A column of a row group that is read in batches, of which one is held; going back means reading anew."""

    nbytes = KEPT

    def __init__(self, path: Path, group: int, column: str, rows: int) -> None:
        self._batches = partial(
            _opened(path).iter_batches, rows, row_groups=[group], columns=[column], use_threads=False
        )
        self._rest: Iterator[Any] = iter(())
        self._batch: Any = ()
        self._start = 0

    def __getitem__(self, row: int) -> Any:
        if row < self._start or not self._batch:
            self._rest, self._batch, self._start = self._batches(), (), 0
        while row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._rest).column(0)
        return self._batch[row - self._start]


_images = _Images()
