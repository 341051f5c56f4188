"""Data sets of the Hugging Face hub through `datasets`: memory-mapped, images read one at a time."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import DataSpec, Row
from hermes.harness.data.arrow import arrow_files, arrow_place
from hermes.harness.data.rows import Rows, in_folder, joined, with_image_paths
from hermes.harness.records.images import Cell
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

FILE = "table"


def hub_rows(spec: DataSpec, name: str, revision: str | None) -> tuple[Rows, str]:
    """The rows of the data set ``name`` as ``spec`` reads it, and the revision that was read.

    The revision is the commit that the hub resolved ``revision`` (None: the newest) to; it enters the run id.
    """
    table, pinned = _load(name, spec.config, spec.split, revision)
    rows = Rows(partial(table_rows, table, _place(spec.config, spec.split), _file(table).parent))
    if spec.join is None:
        return rows, pinned
    # At the commit of the first table, even where that was the newest: another may be published in between.
    other, _ = _load(name, spec.join.config, spec.split, pinned)
    cells = table_rows(other, _place(spec.join.config, spec.split), _file(other).parent)
    images = {str(row[spec.join.id]): row[spec.join.column] for row in cells}
    return Rows(partial(joined, rows, images, spec.join.key, spec.join.column, name)), pinned


def _place(config: str | None, split: str) -> str:
    """What names a table in its data set."""
    return f"{config or ''}/{split}"


def _load(name: str, config: str | None, split: str, revision: str | None) -> tuple[Any, str]:
    import datasets

    hub.unreachable()
    try:
        table = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:
        raise HermesError(f"{name} cannot be loaded from the hub ({hub.missing(error)}); give --data FOLDER") from None
    table = with_encoded_images(table)
    return table, _file(table).parent.name


def with_encoded_images(table: Any) -> Any:
    """The table with images as they are stored."""
    import datasets

    for column, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _file(table: Any) -> Path:
    """Where `datasets` keeps the table: in a cache folder that has the name of the commit."""
    return Path(table.cache_files[0]["filename"])


def table_rows(table: Any, place: str, folder: Path) -> Iterator[Row]:
    """The table's rows; an image cell is a function that reads it, or None. Paths start from the ``folder``.

    ``place`` names the table among others.
    """
    import datasets

    images = [column for column, feature in table.features.items() if isinstance(feature, datasets.Image)]
    files = arrow_files(table)
    present = {column: table.data.column(column).is_valid().to_pylist() for column in images}
    for number, row in enumerate(table.remove_columns(images)):
        cells = {
            column: Cell(
                partial(_cell, table, number, column, folder),
                f"{place}/{number}/{column}",
                arrow_place(files, column, number),
            )
            if present[column][number]
            else None
            for column in images
        }
        yield {**with_image_paths(row, folder / FILE), **cells}


def _cell(table: Any, row: int, column: str, folder: Path) -> Any:
    return in_folder(table[row : row + 1][column][0], folder)
