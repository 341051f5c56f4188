"""Pictures of stored samples, opened again from where they lie: no model, no data set and no network is needed."""

from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from hermes.harness.contracts.fields import nested
from hermes.harness.data.arrow import arrow_cell
from hermes.harness.data.parquet import parquet_image
from hermes.harness.data.rows import in_folder
from hermes.harness.data.separated import text_cell
from hermes.harness.data.stamps import Stamp, file_stamp
from hermes.harness.records.images import CellPlace, ImageHandle, pixel_sha256
from hermes.harness.records.keys import asked_of
from hermes.harness.records.stored_samples import Reference, StoredSample, pictures_path
from hermes.harness.system.errors import ImageError

CHANGED = "changed since it was asked"


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


def asked_pictures(sample: StoredSample, samples: Path, by_content: bool) -> list[ImageHandle]:
    """The pictures of a sample, as `picture`; those that are not what was asked about raise ImageError when opened.

    ``by_content`` as in `is_changed`.
    """
    found = [picture(one, samples) for one in sample.pictures]
    if not is_changed(sample, samples, by_content):
        return found
    others = " or another picture of the question" if len(found) > 1 else ""
    gone = (partial(_missing, f"{one.where}{others} {CHANGED}") for one in found)
    return [ImageHandle(source, where=one.where) for source, one in zip(gone, found, strict=True)]


def is_changed(sample: StoredSample, samples: Path, by_content: bool) -> bool:
    """Whether its pictures are no longer those that were asked about; False where one of them cannot be read.

    ``by_content`` says that `asked` names pictures by their content. Those of pinned data, which do not change, it
    names by their place; copies do not change either.
    """
    if not by_content or all(one.part for one in sample.pictures):
        return False
    try:
        names = [_identities(one, samples, _stamp(one, samples)) for one in sample.pictures]
    except (ImageError, OSError):
        return False
    return not any(asked_of(sample.prompt, one).hex() == sample.asked for one in product(*names))


@lru_cache(maxsize=1024)  # questions about one picture follow each other
def _identities(reference: Reference, samples: Path, stamp: Stamp) -> list[bytes]:
    """What `asked` may call a picture: that of a copy may have been pixels or a file."""
    handle = picture(reference, samples)
    found = [handle.identity()]
    if reference.part is not None:
        found.append(pixel_sha256(handle.open()))
    return [name.encode() for name in found]


def _stamp(reference: Reference, samples: Path) -> Stamp:
    return file_stamp(reference.path or (reference.cell.file if reference.cell else pictures_path(samples)))


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
