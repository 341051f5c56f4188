"""`hermes data check`: every row, answer and image of a data set looked at before it is used."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.fingerprint import MOST_IMAGES, Prints
from hermes.harness.data.tables import Table, open_table
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Record, Sample
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.progress import Progress, Silent
from hermes.shapes.twins import twin_of

EXAMPLES = 3


class Problem(Record):
    """One kind of problem, how often it was found, and where first."""

    kind: str
    count: int
    examples: tuple[str, ...]


class DataCheck(Record):
    """What a data set holds.

    ``n`` counts samples, ``n_expected`` is the pinned number (0: none is). ``images`` counts those decoded, each once,
    None where they were not looked at. ``fingerprint`` is that of a run over the data, of the rows alone where images
    were not looked at, and None where rows or images have problems.
    """

    task: str
    source: str
    rows: int
    n: int
    n_expected: int
    columns: tuple[str, ...]
    images: int | None
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

    def add(self, kind: str, example: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

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
        try:
            for row in self.table.rows:
                self.rows += 1
                self.progress.advance()
                self.columns.update(dict.fromkeys(map(str, row)))
                if self._is_good(row, f"row {self.rows}"):
                    yield row
        except HermesError as error:
            self.unreadable = error

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
            self.findings.add("bad row", f"{where}: {what or place}")
            return False
        return True


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
    findings = _Findings()
    progress.start("rows", expected)
    reader = _Reader(evaluator, table, findings, progress)
    prints, ids, pictures, n = Prints(table.pin, table.held), Doubles(), _Images(table.held), 0
    samples = _samples(evaluator, reader.good(), findings)
    every = list(samples) if table.held else None  # in memory, so that no two images ever have one address
    for sample in samples if every is None else every:
        n += 1
        ids.add(sample.id)
        if images:
            pictures.look(sample)
        if not findings.counts and not pictures.findings.counts:
            prints.add(sample if images else sample.model_copy(update={"images": ()}))
    if reader.unreadable:
        raise reader.unreadable
    if not reader.rows:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a folder with its rows")
    for double in ids.every(lambda: (sample.id for sample in every or _again(evaluator, table))):
        findings.add("id stands in two rows", repr(double))
    findings.extend(pictures.findings)
    usable = not findings.counts
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
        fingerprint=prints.fingerprint() if usable else None,
        problems=findings.problems(),
    )


def _samples(evaluator: Evaluator, rows: Iterable[Row], findings: _Findings) -> Iterator[Sample]:
    """The samples of the good rows, up to where rows that are good alone do not go together."""
    try:
        yield from evaluator.samples(rows)
    except HermesError as error:
        findings.add("bad row", str(error))


def _again(evaluator: Evaluator, table: Table) -> Iterator[Sample]:
    """The same samples once more; nothing is noted."""
    unheard = _Findings()
    return _samples(evaluator, _Reader(evaluator, table, unheard, Silent()).good(), unheard)


class _Images:
    """Decodes every image once; which were decoded is kept as eight bytes an image."""

    def __init__(self, held: bool) -> None:
        self.findings = _Findings()
        self._held = held
        self._hashes = array("q")
        self._last: dict[int, None] = {}

    def look(self, sample: Sample) -> None:
        for handle in sample.images:
            name = handle.name or (id(handle.source) if self._held else len(self._hashes))
            key = hash(name)
            if key not in self._last:
                self._decode(handle, key)

    def _decode(self, handle: ImageHandle, key: int) -> None:
        if len(self._last) >= MOST_IMAGES:
            del self._last[next(iter(self._last))]
        self._last[key] = None
        try:
            handle.open()
            self._hashes.append(key)
        except ImageError as error:
            self.findings.add("broken image", str(error).partition("; ")[0])

    @property
    def decoded(self) -> int:
        """How many different images decode."""
        return len(np.unique(np.frombuffer(self._hashes, dtype=np.int64)))
