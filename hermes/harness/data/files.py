"""Rows from files: JSON lines, JSON, CSV, TSV, Excel and parquet. Images stay there until somebody opens them."""

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.json_stream import json_values
from hermes.harness.data.parquet import parquet_rows
from hermes.harness.data.rows import BadRow, good_rows, with_image_paths
from hermes.harness.data.saved import FILES as ABOUT
from hermes.harness.data.saved import is_saved, saved_rows
from hermes.harness.data.separated import separated_rows
from hermes.harness.data.workbook import workbook_rows
from hermes.harness.system.errors import HermesError

SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def file_rows(path: Path, keep_bad: bool = False) -> Iterator[Row]:
    """The rows of one file, by its suffix. Raises HermesError that names the file and the row.

    ``keep_bad``: a `BadRow` stands for each row that cannot be read, where others can be read after it.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise HermesError(f"{path}: rows are read from {', '.join(READERS)} files; give one of these")
    if not path.is_file():
        raise HermesError(f"{path} does not exist; give a file of rows")
    rows = READERS[suffix](path)
    return rows if keep_bad else good_rows(rows)


def folder_rows(task: str, folder: Path, config: str | None, split: str, released: str = "") -> Iterator[Row]:
    """The rows of a task in a folder, bad ones included; raises HermesError where there are none."""
    files = folder_files(task, folder, config, split, released)
    for home in () if named(task, folder, released) else homes(task, folder, config):
        if is_saved(home):
            yield from saved_rows(home, split)
            return
    if not files:
        raise HermesError(
            f"{folder} holds no rows for {task}; expected {task}.jsonl, .parquet, .csv or a folder {task}/, or the "
            "files that docs/benchmarks.md names"
        )
    for path in files:
        yield from file_rows(path, keep_bad=True)


def folder_files(task: str, folder: Path, config: str | None, split: str, released: str = "") -> list[Path]:
    """``<task>.jsonl`` and the like, or the file of the ``released`` name; else the files of a folder.

    The folder is ``<task>/``, ``<config>/``, ``data/`` or the given one, whichever has some first, else what lies in
    folders by split or by subject below.

    A downloaded data set names its files ``<split>-00000-of-00001.parquet``: of these only the split's are taken, and
    those of every part of a split such as "popular+random".
    """
    if not folder.is_dir():
        raise HermesError(f"data folder {folder} does not exist; give 'shapes', 'hub' or a folder")
    if found := named(task, folder, released):
        return found
    for home in homes(task, folder, config):
        files = _files(home)
        shards = [path for path in files if SHARD.search(path.stem)]
        if of_split := [path for part in split.split("+") for path in shards if path.name.startswith(f"{part}-")]:
            return of_split
        if files and not shards:
            return files
    return _files_below(folder, split)


def named(task: str, folder: Path, released: str = "") -> list[Path]:
    """The file of a folder that has the task's or the released name."""
    names = [f"{task}{suffix}" for suffix in READERS] + ([released] if released else [])
    return [path for name in names if (path := folder / name).is_file()][:1]


def homes(task: str, folder: Path, config: str | None) -> list[Path]:
    """Where the rows of a task may lie in a folder, the first choice first."""
    return [folder / task, *([folder / config] if config else []), folder / "data", folder]


def _files_below(folder: Path, split: str) -> list[Path]:
    """The files of a split that lie in a folder of its name, or in folders by subject, as MMMU's do."""
    found: list[Path] = []
    for part in split.split("+"):
        of_split = [folder / part, *sorted((folder / part).glob("*/"))]
        of_subject = [home for home in sorted(folder.glob("*/")) if home.name != part]
        found += [path for home in of_split for path in _files(home)] or [
            path for home in of_subject for path in _files(home) if re.match(rf"{part}(-\d{{5}}-of-|$)", path.stem)
        ]
    return found


def _files(home: Path) -> list[Path]:
    """The files of rows in a folder."""
    return sorted(path for path in home.glob("*") if path.suffix.lower() in READERS and path.name not in ABOUT)


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
                try:
                    row = parse_json(line)
                except ValueError as error:
                    yield BadRow(HermesError(f"{path}: row {number} is not valid JSON ({error}); fix it"))
                else:
                    yield _row(path, number, row)


def _json_rows(path: Path) -> Iterator[Row]:
    for number, row in enumerate(json_values(path, strict=True), 1):
        yield _row(path, number, row)


def parse_json(text: bytes) -> Any:
    """The content. Raises ValueError for what is no JSON, is nested too deep, or holds half of a surrogate pair."""
    return from_json(text.removeprefix(codecs.BOM_UTF8))


def _row(path: Path, number: int, row: Any) -> Row:
    if not isinstance(row, dict):
        return BadRow(HermesError(f"{path}: row {number} is not a JSON object; write one object a line"))
    return with_image_paths(row, path)


TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".parquet": parquet_rows,
    ".csv": separated_rows,
    ".json": _json_rows,
    ".tsv": separated_rows,
    ".xlsx": workbook_rows,
}
