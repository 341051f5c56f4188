"""Rows in the columns of VLMEvalKit's files, brought to those of a data set.

Its columns (vlmeval/dataset/image_base.py): index, question, answer, category, split, hint, the options A, B, ..., and
``image`` (base64 text, a list of these as text, or the index of a row with the same image) or ``image_path``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from hermes.harness.contracts.benchmark import DataSpec, Row
from hermes.harness.contracts.fields import nested
from hermes.harness.data.rows import BadRow
from hermes.harness.data.separated import INDEX, TextCell
from hermes.harness.records.images import Cell
from hermes.harness.records.sources import is_path

SPLITS = ("dev", "val", "test")
OF_IMAGE = ("image_source", "imageId", "image_id", "img_id")
MARKS = {INDEX, "question"}


def with_columns(rows: Iterable[Row], spec: DataSpec) -> Iterator[Row]:
    """The rows; those with VLMEvalKit's columns get the data set's that they lack, those of other splits are left out.

    An image is known by the name of its file, else by the index of the row that holds it.
    """
    for row in rows:
        if isinstance(row, BadRow) or not row.keys() >= MARKS:
            yield row
        elif _is_of(str(row.get("split") or ""), spec.split):
            yield {**row, **_missing(row, spec.columns)}


def _is_of(split: str, wanted: str) -> bool:
    """Whether a row of a split belongs to the wanted one; names that are no split's say nothing."""
    return not split.startswith(SPLITS) or split[:3] == wanted[:3]


def _missing(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    """The columns that the row lacks, as far as its own columns say what they hold."""
    index = str(row[INDEX])
    images = images_of(row)
    picture = _picture(row, index)
    options = [str(row[letter]) for letter in ascii_uppercase if row.get(letter) not in (None, "")]
    found: dict[str, Any] = {"id": index, "question_id": index, "fullAnswer": "", "isBalanced": True}
    found |= dict.fromkeys(OF_IMAGE, picture)
    if not set(OF_IMAGE) & set(columns):
        found["question_id"] = picture  # Where nothing else names the image, questions with one id share it.
    found |= {"options": options, "question_type": "multiple-choice" if options else "open"}
    found |= {"image": images[0] if images else None, "caption": nested(row.get("answer"))}
    found |= {column: None for column in columns if column.startswith("image_") and column[-1].isdigit()}
    found |= {f"image_{number}": image for number, image in enumerate(images, 1)}
    return {column: found[column] for column in columns if column not in row and column in found}


def images_of(row: Row) -> list[Any]:
    """The images of a row, each by itself."""
    cell = row.get("image")
    if isinstance(cell, TextCell) and cell.count > 1:
        return [_one_of(cell, number) for number in range(cell.count)]
    if cell is None:
        cell = row.get("image_path")
    cell = nested(cell)
    return list(cell) if isinstance(cell, list) else [] if cell is None else [cell]


def _one_of(cell: TextCell, number: int) -> Cell:
    place = cell.place and cell.place._replace(item=number)
    return Cell(partial(_one, cell, number), f"{cell.name}/{number}", place)


def _one(cell: TextCell, place: int) -> Any:
    return nested(cell())[place]


def _picture(row: Mapping[str, Any], index: str) -> str:
    """What tells the image of a row from others."""
    path, cell = row.get("image_path"), row.get("image")
    if is_path(path):
        return Path(path).stem
    return cell.owner if isinstance(cell, TextCell) else Path(cell).stem if is_path(cell) else index
