"""Data sets of the Hugging Face hub through `datasets`: memory-mapped, images read one at a time."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import DataSpec, Row
from hermes.harness.data.rows import Rows, joined
from hermes.harness.records.images import Cell
from hermes.harness.system.errors import HermesError


def hub_rows(spec: DataSpec, name: str, revision: str | None) -> tuple[Rows, str]:
    """The rows of the data set ``name`` as ``spec`` reads it, and the revision that was read.

    The revision is the commit that the hub resolved ``revision`` (None: the newest) to; it enters the run id.
    """
    table, pinned = _load(name, spec.config, spec.split, revision)
    rows = Rows(partial(_rows, table, _place(spec.config, spec.split)))
    if spec.join is None:
        return rows, pinned
    other, _ = _load(name, spec.join.config, spec.split, revision)
    cells = _rows(other, _place(spec.join.config, spec.split))
    images = {str(row[spec.join.id]): row[spec.join.column] for row in cells}
    return Rows(partial(joined, rows, images, spec.join.key, spec.join.column, name)), pinned


def _place(config: str | None, split: str) -> str:
    """What names a table in its data set."""
    return f"{config or ''}/{split}"


def _load(name: str, config: str | None, split: str, revision: str | None) -> tuple[Any, str]:
    import datasets

    try:
        table = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{name} cannot be loaded from the hub ({reason}); give --data FOLDER") from None
    for column, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
    # `datasets` keeps each commit of a data set in a cache folder of the commit's name.
    return table, Path(table.cache_files[0]["filename"]).parent.name


def _rows(table: Any, place: str) -> Iterator[Row]:
    """The table's rows; an image cell is a function that reads it, or None."""
    import datasets

    images = [column for column, feature in table.features.items() if isinstance(feature, datasets.Image)]
    present = {column: table.data.column(column).is_valid().to_pylist() for column in images}
    for number, row in enumerate(table.remove_columns(images)):
        cells = {
            column: Cell(partial(_cell, table, number, column), f"{place}/{number}/{column}")
            if present[column][number]
            else None
            for column in images
        }
        yield row | cells


def _cell(table: Any, row: int, column: str) -> Any:
    return table[row : row + 1][column][0]
