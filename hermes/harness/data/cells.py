"""Pictures of stored samples, opened again from where they lie: no model, no data set and no network is needed."""

from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.fields import nested
from hermes.harness.data.arrow import arrow_cell
from hermes.harness.data.parquet import parquet_image
from hermes.harness.data.rows import in_folder
from hermes.harness.data.separated import text_cell
from hermes.harness.records.images import CellPlace, ImageHandle
from hermes.harness.records.stored_samples import Reference, pictures_path


def picture(reference: Reference, samples: Path) -> ImageHandle:
    """The picture of a reference in a file of samples.

    Nothing is read before it is opened, which raises ImageError where it is no longer there.
    """
    if reference.part is not None:
        path = pictures_path(samples)
        return ImageHandle(partial(_part, path, *reference.part), where=str(path))
    if reference.path is not None:
        return ImageHandle(Path(reference.path), where=reference.path)
    if reference.cell is not None:
        return ImageHandle(partial(_cell, reference.cell), where=f"{reference.cell.file}, row {reference.cell.row}")
    return ImageHandle(partial(_missing, reference.missing or "it was not stored"), where="picture")


def _cell(place: CellPlace) -> Any:
    path = Path(place.file)
    if not path.is_file():
        raise FileNotFoundError(f"{place.file} is no longer there")
    if place.table == "parquet":
        cell = parquet_image(path, place.group, str(place.column), place.row)
    elif place.table == "arrow":
        cell = in_folder(arrow_cell(place.file, str(place.column), place.row), path.parent)
    else:
        cell = text_cell(path, place.row, int(place.column))
    return cell if place.item is None else nested(cell)[place.item]


def _part(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _missing(why: str) -> Any:
    raise ValueError(why)
