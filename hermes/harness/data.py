"""Where samples come from: the built-in world, a local folder, or the hub; checked and fingerprinted before use."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from hermes.evaluators.base import Evaluator, Row
from hermes.harness.errors import HermesError
from hermes.harness.hub import hub_rows
from hermes.harness.layouts import official_rows
from hermes.harness.rows import file_rows, folder_rows, joined
from hermes.harness.shapes.scene import Split
from hermes.harness.types import DataInfo, Sample

WORLD_SEED = 0


@dataclass(frozen=True)
class Data:
    """The samples of one evaluator in one run, and where they come from."""

    samples: tuple[Sample, ...]
    info: DataInfo


@dataclass(frozen=True)
class Table:
    """Rows not yet read, what errors call them, and what of `DataInfo` is known before reading."""

    rows: Iterable[Row]
    where: str
    source: str
    world: Literal["shapes", "real"]
    revision: str | None = None
    pin: str | None = None


def load_data(
    evaluator: Evaluator, source: str, split: Split, limit: int | None = None, revision: str | None = None
) -> Data:
    """All samples, or those of the first ``limit`` groups.

    ``source`` is "shapes"; "hub", or "hub:owner/name" with "@revision" if wanted, for another data set in the same
    columns; a folder, or a file of rows. Raises HermesError for missing columns and doubled ids.
    """
    table = open_table(evaluator, source, split, revision)
    rows = checked(table.rows, evaluator.data.columns, table.where)
    wanted = islice(rows, limit) if evaluator.data.ungrouped else rows
    samples, given = _first_groups(evaluator.samples(wanted), limit)
    refuse_doubles(samples, table.where)
    if not samples:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a folder with its rows")
    return Data(samples, data_info(evaluator, table, samples, given))


def open_table(evaluator: Evaluator, source: str, split: Split, revision: str | None = None) -> Table:
    """The rows that ``source`` means for this evaluator."""
    spec = evaluator.data
    own = evaluator.own_rows()
    if own is not None:
        return Table(own, evaluator.name, evaluator.name, "real")
    if source == "shapes":
        return Table(evaluator.shapes_rows(split, WORLD_SEED), "shapes", "shapes", "shapes", split)
    if source == "hub" or source.startswith("hub:"):
        name, _, wanted = source.removeprefix("hub").removeprefix(":").partition("@")
        name = name or spec.hub
        if not name:
            raise HermesError(f"{evaluator.name} has no data set on the hub; give --data FOLDER")
        rows, commit = hub_rows(spec, name, wanted or revision)
        return Table(rows, name, f"hub:{name}", "real", commit, pin=f"{name}@{commit}")
    path = Path(source)
    local = evaluator.local_rows(path, split)
    if local is not None:
        return Table(local, str(path), "folder", "real")
    official = official_rows(evaluator.data.columns, path)
    if official is not None:
        return Table(official, str(path), "folder", "real")
    if path.is_file():
        return Table(file_rows(path), str(path), "folder", "real")
    rows = folder_rows(evaluator.name, path, spec.config, spec.split, spec.released)
    if spec.join is not None and (path / spec.join.config).is_dir():
        others = folder_rows(spec.join.config, path, spec.join.config, spec.split)
        images = {str(row[spec.join.id]): row[spec.join.column] for row in others}
        rows = joined(rows, images, spec.join.key, spec.join.column, str(path))
    return Table(rows, str(path / evaluator.name), "folder", "real")


def data_info(evaluator: Evaluator, table: Table, samples: Sequence[Sample], given: int | None = None) -> DataInfo:
    """What a run says of its data. Where the real data set has no size of its own, all that were ``given`` count."""
    shapes = table.world == "shapes"
    real_n = evaluator.data.n or (len(samples) if given is None else given)
    return DataInfo(
        source=table.source,
        revision=table.revision,
        fingerprint=fingerprint(samples, table.pin),
        n=len(samples),
        n_expected=evaluator.data.shapes_n if shapes else real_n,
        world=table.world,
    )


def fingerprint(samples: Sequence[Sample], pin: str | None = None) -> str:
    """A hash of everything in the samples that can change an answer or a score.

    Every distinct image is hashed, unless ``pin`` (hub id and revision) stands for them all.
    """
    digest = hashlib.sha256((pin or "").encode())
    seen: dict[int | str, str] = {}
    fields = sorted(set(Sample.model_fields) - {"images"})
    for sample in samples:
        text = {field: getattr(sample, field) for field in fields}
        encoded = json.dumps(text, sort_keys=True, default=str, ensure_ascii=False)
        digest.update(encoded.encode(errors="surrogatepass"))
        for handle in () if pin else sample.images:
            key = handle.source if isinstance(handle.source, str) else id(handle.source)
            if key not in seen:
                seen[key] = handle.sha256()
            digest.update(seen[key].encode())
    return digest.hexdigest()[:16]


def checked(rows: Iterable[Row], columns: Sequence[str], where: str) -> Iterator[Row]:
    """The rows as they come. Raises HermesError at the first that lacks a column."""
    for number, row in enumerate(rows, 1):
        for column in columns:
            if column not in row:
                present = ", ".join(map(str, row))
                raise HermesError(f"{where}: row {number} has no column {column!r} (it has {present}); add the column")
        yield row


def _first_groups(samples: Iterable[Sample], limit: int | None) -> tuple[tuple[Sample, ...], int]:
    """The samples of the first groups, and how many there are of all groups."""
    groups: set[str] = set()
    kept: list[Sample] = []
    given = 0
    for sample in samples:
        given += 1
        if limit is None or sample.group_id in groups or len(groups) < limit:
            groups.add(sample.group_id)
            kept.append(sample)
    return tuple(kept), given


def refuse_doubles(samples: Sequence[Sample], where: str) -> None:
    """Raise HermesError where two samples have one id."""
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise HermesError(f"{where}: the id {sample.id!r} stands in two rows; every row needs its own id")
        seen.add(sample.id)
