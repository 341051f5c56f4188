"""`hermes data check`: every row, answer and image of a data set looked at before it is used."""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.contracts.fields import tidied
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.fingerprint import MOST_IMAGES, Prints
from hermes.harness.data.homologous.overlaps import overlaps, told
from hermes.harness.data.rows import BadRow, row_error, samples_of
from hermes.harness.data.tables import Table, open_table
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.pixels import CHANGES, Change
from hermes.harness.records.types import Record, Sample
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.progress import Progress, Silent
from hermes.shapes.twins import twin_of

EXAMPLES = 3
MOST_EXAMPLES = 20  # Of one kind, where the reasons differ.


class Problem(Record):
    """One kind of problem, how often it was found, and where first."""

    kind: str
    count: int
    examples: tuple[str, ...]


class DataCheck(Record):
    """What a data set holds.

    ``n`` counts samples, ``n_expected`` is the pinned number (0: none is). ``images`` counts those decoded, each once,
    None where they were not looked at; ``changed`` says how many of these `pixels.prepare` rotated, flattened or
    scaled. ``fingerprint`` is that of a run over the data, of the rows alone where images were not looked at, and None
    where rows or images have problems.
    """

    task: str
    source: str
    rows: int
    n: int
    n_expected: int
    columns: tuple[str, ...]
    images: int | None
    changed: dict[Change, int]
    fingerprint: str | None
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


class _Findings:
    """Problems by kind, in the order in which the kinds were first seen."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self._reasons: dict[str, set[str]] = {}

    def add(self, kind: str, example: str, reason: str = "") -> None:
        """Note one; the first ones become examples, and so does the first for each ``reason``."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        examples, reasons = self.examples.setdefault(kind, []), self._reasons.setdefault(kind, set())
        if len(examples) < EXAMPLES or (reason not in reasons and len(examples) < MOST_EXAMPLES):
            examples.append(example)
            reasons.add(reason)

    def extend(self, others: "_Findings") -> None:
        """Those of others after these."""
        self.counts |= others.counts
        self.examples |= others.examples

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(kind=kind, count=count, examples=tuple(self.examples[kind])) for kind, count in self.counts.items()
        )


class _Reader:
    """Goes through the rows once: notes what is wrong with each, and passes the good ones on."""

    def __init__(self, evaluator: Evaluator, table: Table, findings: _Findings, progress: Progress) -> None:
        self.evaluator, self.table, self.findings, self.progress = evaluator, table, findings, progress
        self.columns: dict[str, None] = {}
        self.rows = 0
        self.unreadable: HermesError | None = None

    def good(self) -> Iterator[Row]:
        """The good rows, up to where nothing more can be read."""
        read = iter(self.table.rows)
        while True:
            try:
                row = next(read)
            except StopIteration:
                break
            except Exception as error:
                self.unreadable = self._note(row_error(error, f"row {self.rows + 1}"), "the rest cannot be read")
                break
            self.rows += 1
            self.progress.advance()
            if isinstance(row, BadRow):
                self._note(row.error, "bad row")
                continue
            self.columns.update(dict.fromkeys(map(str, row)))
            tidy = self._tidy(row, f"row {self.rows}")
            if tidy is not None:
                yield tidy

    def _note(self, error: Exception, kind: str) -> HermesError:
        if not isinstance(error, HermesError):
            raise error
        self.findings.add(kind, str(error), str(error).rpartition(f"row {self.rows} ")[2])
        return error

    def _tidy(self, row: Row, where: str) -> Row | None:
        """The row as the evaluator takes it, None where it is bad."""
        try:
            row = tidied(row, self.evaluator.data.cells)
        except Exception as error:
            self._note(row_error(error, where), "bad row")
            return None
        return row if self._is_good(row, where) else None

    def _is_good(self, row: Row, where: str) -> bool:
        missing = [column for column in self.evaluator.data.columns if column not in row]
        for column in missing:
            self.findings.add(f"column {column!r} is missing", where)
        if missing:
            return False
        try:
            list(self.evaluator.samples([row]))
        except HermesError as error:
            # The message's own "where" counts from the one row that was shown.
            place, _, what = str(error).partition(": ")
            self.findings.add("bad row", f"{where}: {what or place}", what)
        except Exception as error:
            self._note(row_error(error, where), "bad row")
        else:
            return True
        return False


def check_data(
    task: str, source: str, images: bool = True, progress: Progress | None = None, plugins: Sequence[Path] = ()
) -> DataCheck:
    """Look at all rows of a task's data, and at all images unless they are left out; nothing is changed.

    Raises HermesError for files that cannot be read or hold no rows; what is wrong with the rows is in ``problems``.
    """
    progress = progress or Silent()
    load_plugins(plugins)
    evaluator = registry.evaluator(task)
    table = open_table(evaluator, source, "test")
    twin = twin_of(evaluator) if table.world == "shapes" else None
    expected = twin.n if twin else evaluator.data.n
    findings, never = _Findings(), _Findings()
    progress.start("rows", expected)
    reader = _Reader(evaluator, table, findings, progress)
    prints, ids, pictures, n = Prints(table.pin, table.held), Doubles(), _Images(table.held), 0
    samples = _samples(evaluator, reader.good(), findings)
    every = list(samples) if table.held else None  # in memory, so that no two images ever have one address
    for sample in samples if every is None else every:
        n += 1
        ids.add(sample.id)
        for what in evaluator.never_right(sample):
            never.add("no answer is right", f"{sample.id}: {what}")
        if images:
            pictures.look(sample)
        if not findings.counts and not pictures.findings.counts:
            prints.add(sample if images else sample.model_copy(update={"images": ()}))
    if reader.unreadable and not reader.rows:
        raise reader.unreadable
    if not reader.rows:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a folder with its rows")
    for double in ids.every(lambda: (sample.id for sample in every or _again(evaluator, table))):
        findings.add("id stands in two rows", repr(double))
    findings.extend(pictures.findings)
    if images and evaluator.divides and Path(source).is_dir():
        for split, found in overlaps(Path(source), evaluator.name):
            never.add("in two splits", told(split, "train", found))
    usable = not findings.counts
    findings.extend(never)
    if expected and n != expected:
        findings.add("wrong number of samples", f"{n}, but {evaluator.title} has {expected}")
    return DataCheck(
        task=task,
        source=source,
        rows=reader.rows,
        n=n,
        n_expected=expected,
        columns=tuple(reader.columns),
        images=pictures.decoded if images else None,
        changed=pictures.changed,
        fingerprint=prints.fingerprint() if usable else None,
        problems=findings.problems(),
    )


def _samples(evaluator: Evaluator, rows: Iterator[Row], findings: _Findings) -> Iterator[Sample]:
    """The samples of the good rows, up to where rows that are good alone do not go together; all rows are read."""
    try:
        yield from samples_of(evaluator, rows, "the good rows")
    except HermesError as error:
        findings.add("bad row", str(error))
    deque(rows, maxlen=0)


def _again(evaluator: Evaluator, table: Table) -> Iterator[Sample]:
    """The same samples once more; nothing is noted."""
    unheard = _Findings()
    return _samples(evaluator, _Reader(evaluator, table, unheard, Silent()).good(), unheard)


class _Images:
    """Decodes every image once; which were decoded is kept as eight bytes an image."""

    def __init__(self, held: bool) -> None:
        self.findings = _Findings()
        self._held = held
        self._looked_at = 0
        self._hashes = array("q")
        self._changed = {change: array("q") for change in CHANGES}
        self._last: dict[int, None] = {}

    def look(self, sample: Sample) -> None:
        for handle in sample.images:
            self._looked_at += 1
            name = handle.name or (id(handle.source) if self._held else self._looked_at)
            key = hash(name)
            if key not in self._last:
                self._decode(handle, key)

    def _decode(self, handle: ImageHandle, key: int) -> None:
        if len(self._last) >= MOST_IMAGES:
            del self._last[next(iter(self._last))]
        self._last[key] = None
        try:
            prepared = handle.prepared()
        except ImageError as error:
            self.findings.add("broken image", str(error).partition("; ")[0])
            return
        self._hashes.append(key)
        for change in prepared.changes:
            self._changed[change].append(key)

    @property
    def decoded(self) -> int:
        """How many different images decode."""
        return _distinct(self._hashes)

    @property
    def changed(self) -> dict[Change, int]:
        """How many different images were prepared by each change, without those that none needed."""
        return {change: count for change, keys in self._changed.items() if (count := _distinct(keys))}


def _distinct(hashes: "array[int]") -> int:
    return len(np.unique(np.frombuffer(hashes, dtype=np.int64)))
