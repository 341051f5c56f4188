"""Where samples come from: the built-in world, a local folder, or the hub; checked and fingerprinted before use."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.evaluators.base import Evaluator, Row
from hermes.harness.errors import HermesError
from hermes.harness.images import pixel_sha256
from hermes.harness.shapes.scene import Split
from hermes.harness.types import DataInfo, Sample

WORLD_SEED = 0
_IMAGE_COLUMN = re.compile(r"image(_\d+)?|img_path")


@dataclass(frozen=True)
class Data:
    """The samples of one evaluator in one run, and where they come from."""

    samples: tuple[Sample, ...]
    info: DataInfo


def load_data(
    evaluator: Evaluator, source: str, split: Split, limit: int | None = None, revision: str | None = None
) -> Data:
    """All samples, or those of the first ``limit`` groups.

    ``source`` is "shapes", "hub", or a folder. Raises HermesError for missing columns, doubled ids and broken images.
    """
    if source == "shapes":
        rows: Sequence[Row] = evaluator.shapes_rows(split, WORLD_SEED)
        expected = evaluator.data.shapes_n
    elif source == "hub":
        rows, expected = _hub_rows(evaluator, revision), evaluator.data.n
    else:
        rows, expected = _folder_rows(evaluator.name, Path(source)), evaluator.data.n
    where = source if source in ("shapes", "hub") else str(Path(source) / evaluator.name)
    samples = tuple(_first_groups(evaluator.samples(_checked(rows, evaluator.data.columns, where)), limit))
    _refuse_doubles(samples, where)
    if not samples:
        raise HermesError(f"{where}: no rows for {evaluator.name}; give a folder with its rows")
    pinned = (revision or evaluator.data.revision) if source == "hub" else split if source == "shapes" else None
    info = DataInfo(
        source=f"hub:{evaluator.data.hub}" if source == "hub" else "shapes" if source == "shapes" else "folder",
        revision=pinned,
        fingerprint=fingerprint(samples, f"{evaluator.data.hub}@{pinned}" if source == "hub" else None),
        n=len(samples),
        n_expected=expected,
        world="shapes" if source == "shapes" else "real",
    )
    return Data(samples, info)


def fingerprint(samples: Sequence[Sample], hub_pin: str | None = None) -> str:
    """A hash of everything in the samples that can change an answer or a score.

    Every distinct image is hashed (and so decoded), unless ``hub_pin`` (id and revision) stands for them all.
    """
    digest = hashlib.sha256((hub_pin or "").encode())
    seen: dict[int, str] = {}
    for sample in samples:
        text = sample.model_dump(exclude={"images"})
        digest.update(json.dumps(text, sort_keys=True, default=str, ensure_ascii=False).encode())
        for handle in () if hub_pin else sample.images:
            key = id(handle.source)
            if key not in seen:
                seen[key] = pixel_sha256(handle.open())
            digest.update(seen[key].encode())
    return digest.hexdigest()[:16]


def _checked(rows: Sequence[Row], columns: Sequence[str], where: str) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        for column in columns:
            if column not in row:
                present = ", ".join(map(str, row))
                raise HermesError(f"{where}: row {number} has no column {column!r} (it has {present}); add the column")
        yield row


def _first_groups(samples: Iterator[Sample], limit: int | None) -> Iterator[Sample]:
    groups: set[str] = set()
    for sample in samples:
        if limit is not None and sample.group_id not in groups and len(groups) >= limit:
            continue
        groups.add(sample.group_id)
        yield sample


def _refuse_doubles(samples: Sequence[Sample], where: str) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise HermesError(f"{where}: the id {sample.id!r} stands in two rows; every row needs its own id")
        seen.add(sample.id)


def _folder_rows(task: str, folder: Path) -> Sequence[Row]:
    """``<folder>/<task>.jsonl|.parquet|.csv``, or all such files in ``<folder>/<task>``, or in the folder itself."""
    if not folder.is_dir():
        raise HermesError(f"data folder {folder} does not exist; give 'shapes', 'hub' or a folder")
    homes = [folder / task, folder]
    files = [path for suffix in SUFFIXES if (path := folder / f"{task}{suffix}").exists()]
    for home in homes:
        files = files or sorted(path for path in home.glob("*") if path.suffix in SUFFIXES)
    if not files:
        raise HermesError(
            f"{folder} holds no rows for {task}; expected {task}.jsonl, .parquet, .csv or a folder {task}/"
        )
    rows: list[Row] = []
    for path in files:
        rows.extend(SUFFIXES[path.suffix](path))
    return rows


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise HermesError(f"{path}: row {number} is not valid JSON ({error}); mend the line") from None
            if not isinstance(row, dict):
                raise HermesError(f"{path}: row {number} is not a JSON object; write one object a line")
            yield _with_image_paths(row, path.parent)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield _with_image_paths(row, path.parent)
    except (pyarrow.ArrowException, OSError) as error:
        raise HermesError(f"{path} cannot be read as parquet ({error}); write the file again") from None


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                cells = {column: cell for column, cell in row.items() if column is not None and cell is not None}
                yield _with_image_paths(cells, path.parent)
    except (csv.Error, UnicodeDecodeError) as error:
        raise HermesError(f"{path} cannot be read as CSV ({error}); write the file again") from None


SUFFIXES = {".jsonl": _jsonl_rows, ".parquet": _parquet_rows, ".csv": _csv_rows}


def _undecoded(table: Any) -> Any:
    import datasets

    for column, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _with_image_paths(row: Mapping[str, Any], folder: Path) -> Row:
    paths = {
        column: str(folder / value)
        for column, value in row.items()
        if isinstance(value, str) and value and _IMAGE_COLUMN.fullmatch(column)
    }
    return {**row, **paths}


def _hub_rows(evaluator: Evaluator, revision: str | None) -> Sequence[Row]:
    import datasets

    spec = evaluator.data
    if not spec.hub:
        raise HermesError(f"{evaluator.name} has no data set on the hub; give --data FOLDER")
    try:
        table = datasets.load_dataset(
            spec.hub, spec.config, split=spec.split, revision=revision or spec.revision, trust_remote_code=False
        )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{spec.hub} cannot be loaded from the hub ({reason}); give --data FOLDER") from None
    rows: Sequence[Row] = _undecoded(table)
    return rows
