"""Where samples come from: the built-in world, a local folder, or the hub; checked and fingerprinted before use."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress, islice
from pathlib import Path
from typing import Literal

from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.data.chosen import ALL, Met, Wanted
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.files import file_rows, folder_rows
from hermes.harness.data.fingerprint import DIGEST, Prints
from hermes.harness.data.hub import hub_rows
from hermes.harness.data.layouts import official_rows
from hermes.harness.data.official.vlmevalkit import with_columns
from hermes.harness.data.pins import Pins
from hermes.harness.data.rows import Rows, checked, good_rows, joined, samples_of, with_column
from hermes.harness.data.shares import SPLITS, of_splits
from hermes.harness.records.stored_samples import Reference
from hermes.harness.records.types import DataInfo, Sample, Split
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of

WORLD_SEED = 0


@dataclass(frozen=True)
class Data:
    """The samples of one evaluator in one run, and where they come from.

    ``samples`` can be gone through any number of times, each time in the same order. ``digests`` holds 32 bytes a
    sample in that order, as `fingerprint.Prints` takes them. ``met`` says what was chosen of them and what there was,
    None where all are taken or the first. ``picture`` is where the first image that lies in a file is.
    """

    samples: Iterable[Sample]
    info: DataInfo
    digests: bytes = field(repr=False)
    met: Met | None = None
    picture: Reference | None = None

    def __len__(self) -> int:
        return self.info.n

    @classmethod
    def of(cls, samples: Sequence[Sample], info: DataInfo) -> "Data":
        """Samples that are in memory already."""
        prints = _prints(samples)
        return cls(samples, info, bytes(prints.digests), picture=prints.picture)


@dataclass(frozen=True)
class Table:
    """Rows not yet read, what errors call them, and what of `DataInfo` is known before reading.

    ``rows`` can be gone through any number of times, unless ``held`` says that their samples are to be kept in memory:
    they are few, or dear to make.
    """

    rows: Iterable[Row]
    where: str
    source: str
    world: Literal["shapes", "real"]
    revision: str | None = None
    pin: str | None = None
    held: bool = False


@dataclass(frozen=True)
class Samples:
    """The samples of a table, read anew each time they are gone through: all, or those of the first ``limit`` groups.

    ``taken`` has a byte for each sample instead, 1 where it is one. ``n`` is how many there are, None as long as nobody
    has counted. ``column`` of the rows holds what the model is shown in place of the prompts, "" where none does.
    """

    evaluator: Evaluator
    table: Table
    limit: int | None = None
    n: int | None = None
    taken: bytes | None = None
    column: str = ""

    def __iter__(self) -> Iterator[Sample]:
        if self.n is None:
            yield from (sample for sample, wanted in self.every() if wanted)
            return
        found = 0
        for sample, wanted in self.every():
            if wanted:
                yield sample
                found += 1
            if found == self.n:
                return
        raise HermesError(f"{self.table.where}: the rows changed while they were in use; start again")

    def every(self) -> Iterator[tuple[Sample, bool]]:
        """Each sample that must be read to find those that are wanted, and whether it is one of them.

        Where each row is a group of its own, one row beyond the limit is read at most: it shows that there are more.
        """
        spec, limit = self.evaluator.data, self.limit
        columns = (*spec.columns, self.column) if self.column else spec.columns
        rows = checked(self.table.rows, spec, columns, self.table.where)
        if self.taken is not None:
            every = self._of(rows)
            yield from ((sample, bool(one)) for sample, one in zip(every, self.taken, strict=False))
            return
        if limit is None:
            yield from ((sample, True) for sample in self._of(rows))
            return
        if spec.ungrouped or (isinstance(self.table.rows, Rows) and self.table.rows.ungrouped):
            rows = islice(rows, limit if spec.n else limit + 1)
        groups: set[str] = set()
        for sample in self._of(rows):
            wanted = sample.group_id in groups or len(groups) < limit
            if wanted:
                groups.add(sample.group_id)
            yield sample, wanted

    def _of(self, rows: Iterable[Row]) -> Iterator[Sample]:
        if self.column:
            return with_column(self.column, self.evaluator, rows, self.table.where)
        return samples_of(self.evaluator, rows, self.table.where)


def load_data(
    evaluator: Evaluator,
    source: str,
    split: Split,
    limit: int | None = None,
    revision: str | None = None,
    pins: Pins | None = None,
    wanted: Wanted = ALL,
    column: str = "",
) -> Data:
    """All samples, or those that are ``wanted``, or the first ``limit`` groups of these.

    ``column`` of the rows holds what the model is shown in place of the prompts, "" where none does.

    ``source`` is "shapes"; "hub", or "hub:owner/name" with "@revision" if wanted, for another data set in the same
    columns; a folder, or a file of rows. Raises HermesError for missing columns and doubled ids.
    """
    table = open_table(evaluator, source, split, revision, pins)
    if table.held:
        return _held(evaluator, table, limit, wanted, column)
    samples, met = Samples(evaluator, table, limit, column=column), None
    if wanted.restricts:
        taken, met = wanted.takes(evaluator, Samples(evaluator, table), limit)
        samples = replace(samples, taken=taken)
    prints, ids, given = Prints(table.pin), Doubles(), 0
    for sample, one in samples.every():
        given += 1
        if one:
            prints.add(sample)
            ids.add(sample.id)
    ids.refuse(lambda: (sample.id for sample in samples), table.where)
    info = _info(evaluator, table, prints, given)
    return Data(replace(samples, n=info.n), info, bytes(prints.digests), met, prints.picture)


def _held(evaluator: Evaluator, table: Table, limit: int | None, wanted: Wanted, column: str) -> Data:
    """The data of a table whose samples are made once."""
    if not wanted.restricts:
        every = list(Samples(evaluator, table, limit, column=column).every())
        return held_data(evaluator, table, tuple(sample for sample, one in every if one), len(every))
    samples = list(Samples(evaluator, table, column=column))
    taken, met = wanted.takes(evaluator, samples, limit)
    found = held_data(evaluator, table, tuple(compress(samples, taken)), len(samples))
    return replace(found, met=met)


def held_data(evaluator: Evaluator, table: Table, samples: Sequence[Sample], given: int | None = None) -> Data:
    """The data of samples that are in memory. Raises HermesError for doubled ids, and where there are none.

    Where the real data set has no size of its own, all that were ``given`` count as expected.
    """
    ids = Doubles()
    for sample in samples:
        ids.add(sample.id)
    ids.refuse(lambda: (sample.id for sample in samples), table.where)
    prints = _prints(samples, table.pin)
    info = _info(evaluator, table, prints, len(samples) if given is None else given)
    return Data(samples, info, bytes(prints.digests), picture=prints.picture)


def open_table(
    evaluator: Evaluator, source: str, split: Split, revision: str | None = None, pins: Pins | None = None
) -> Table:
    """The rows that ``source`` means for this evaluator; ``pins`` says which commit of a hub data set is read."""
    spec = evaluator.data
    own = evaluator.own_rows()
    if own is not None:
        return Table(own, evaluator.name, evaluator.name, "real", held=True)
    if source == "shapes":
        twin = twin_of(evaluator)
        if twin is None:
            raise HermesError(f"task {evaluator.name!r} has no twin in the shapes world; give --data")
        return Table(twin.rows(split, WORLD_SEED), "shapes", "shapes", "shapes", split, held=True)
    if source == "hub" or source.startswith("hub:"):
        name, _, wanted = source.removeprefix("hub").removeprefix(":").partition("@")
        name = name or spec.hub
        if not name:
            raise HermesError(f"{evaluator.name} has no data set on the hub; give --data FOLDER")
        asked, pins = revision or wanted or None, pins or Pins()
        rows, commit = hub_rows(spec, name, pins.wanted(name, asked))
        pins.read(name, asked, commit)
        if evaluator.held_out:
            rows = of_splits(rows, {split}, SPLITS, name)
        return Table(rows, name, f"hub:{name}", "real", commit, pin=f"{name}@{commit}")
    path = Path(source)
    local = evaluator.local_rows(path, split)
    if isinstance(local, Iterator):
        local = Rows(partial(_again, evaluator, path, split))
    if local is None:
        local = official_rows(spec.columns, path)
    if local is not None:
        return Table(local, str(path), "folder", "real")
    if path.is_file():
        return Table(Rows(partial(_file_rows, evaluator, path)), str(path), "folder", "real")
    return Table(Rows(partial(_folder_rows, evaluator, path)), str(path / evaluator.name), "folder", "real")


def _again(evaluator: Evaluator, path: Path, split: Split) -> Iterable[Row]:
    """What the evaluator read as an iterator, which can be gone through once, opened anew."""
    return evaluator.local_rows(path, split) or ()


def _file_rows(evaluator: Evaluator, path: Path) -> Iterator[Row]:
    return with_columns(file_rows(path, keep_bad=True), evaluator.data)


def _folder_rows(evaluator: Evaluator, path: Path) -> Iterator[Row]:
    spec = evaluator.data
    rows = folder_rows(evaluator.name, path, spec.config, spec.split, spec.released)
    if spec.join is None or not (path / spec.join.config).is_dir():
        return with_columns(rows, spec)
    others = folder_rows(spec.join.config, path, spec.join.config, spec.split)
    images = {str(row[spec.join.id]): row[spec.join.column] for row in good_rows(others)}
    return joined(rows, images, spec.join.key, spec.join.column, str(path))


def _prints(samples: Sequence[Sample], pin: str | None = None) -> Prints:
    prints = Prints(pin, held=True)
    for sample in samples:
        prints.add(sample)
    return prints


def _info(evaluator: Evaluator, table: Table, prints: Prints, given: int) -> DataInfo:
    """What a run says of its data. Raises HermesError where there are no samples."""
    n = len(prints.digests) // DIGEST
    if not n:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a folder with its rows")
    twin = twin_of(evaluator) if table.world == "shapes" else None
    return DataInfo(
        source=table.source,
        revision=table.revision,
        fingerprint=prints.fingerprint(),
        rows=prints.rows(),
        n=n,
        n_expected=twin.n if twin else evaluator.data.n or given,
        world=table.world,
    )
