"""Rows from files: JSON lines, JSON, CSV and parquet. Images stay where they are until somebody opens them."""

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.json_stream import json_values
from hermes.harness.data.parquet import parquet_rows
from hermes.harness.data.rows import with_image_paths
from hermes.harness.system.errors import HermesError


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of one file, by its suffix. Raises HermesError that names the file and the row."""
    if path.suffix not in READERS:
        raise HermesError(f"{path}: rows are read from {', '.join(READERS)} files; give one of these")
    if not path.is_file():
        raise HermesError(f"{path} does not exist; give a file of rows")
    return READERS[path.suffix](path)


def folder_rows(task: str, folder: Path, config: str | None, split: str, released: str = "") -> Iterator[Row]:
    """The rows of a task in a folder; raises HermesError where there are none."""
    files = folder_files(task, folder, config, split, released)
    if not files:
        raise HermesError(
            f"{folder} holds no rows for {task}; expected {task}.jsonl, .parquet, .csv or a folder {task}/"
        )
    for path in files:
        yield from file_rows(path)


def folder_files(task: str, folder: Path, config: str | None, split: str, released: str = "") -> list[Path]:
    """``<task>.jsonl`` and the like, or the file of the ``released`` name; else the files of a folder.

    The folder is ``<task>/``, ``<config>/``, ``data/`` or the given one, whichever has some first.

    A downloaded data set names its files ``<split>-00000-of-00001.parquet``: of these only the split's are taken, and
    those of every part of a split such as "popular+random".
    """
    if not folder.is_dir():
        raise HermesError(f"data folder {folder} does not exist; give 'shapes', 'hub' or a folder")
    names = [f"{task}{suffix}" for suffix in READERS] + ([released] if released else [])
    if named := [path for name in names if (path := folder / name).exists()]:
        return named[:1]
    for home in (folder / task, *([folder / config] if config else []), folder / "data", folder):
        files = sorted(path for path in home.glob("*") if path.suffix in READERS)
        shards = [path for path in files if re.search(r"-\d{5}-of-\d{5}$", path.stem)]
        if of_split := [path for part in split.split("+") for path in shards if path.name.startswith(f"{part}-")]:
            return of_split
        if files and not shards:
            return files
    return []


def line_objects(path: Path, expected: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The object on each line that is not blank, after where it stands. Raises HermesError for any other line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path} line {number}"
            try:
                entry = parse_json(line)
            except ValueError as error:
                raise HermesError(f"{where} is not valid JSON ({error}); fix it") from None
            if not isinstance(entry, dict):
                raise HermesError(f"{where} is not an object; expected {expected}")
            yield where, entry


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _row(path, number, _parsed(path, line, f"row {number}"))


def _json_rows(path: Path) -> Iterator[Row]:
    for number, row in enumerate(json_values(path, strict=True), 1):
        yield _row(path, number, row)


def _parsed(path: Path, text: bytes, what: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise HermesError(f"{path}: {what} is not valid JSON ({error}); fix it") from None


def parse_json(text: bytes) -> Any:
    """The content. Raises ValueError for what is no JSON, is nested too deep, or holds half of a surrogate pair."""
    return from_json(text.removeprefix(codecs.BOM_UTF8))


def _row(path: Path, number: int, row: Any) -> Row:
    if not isinstance(row, dict):
        raise HermesError(f"{path}: row {number} is not a JSON object; write one object a line")
    return with_image_paths(row, path)


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                cells = {column: cell for column, cell in row.items() if column is not None and cell is not None}
                yield with_image_paths(cells, path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise HermesError(f"{path} cannot be read as CSV ({error}); write the file again") from None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".parquet": parquet_rows,
    ".csv": _csv_rows,
    ".json": _json_rows,
}
