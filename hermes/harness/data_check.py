"""`hermes data check`: every row, answer and image of a data set looked at before it is used."""

from collections.abc import Iterable, Iterator

from hermes.evaluators.base import Evaluator, Row
from hermes.harness import registry
from hermes.harness.data import Table, fingerprint, open_table
from hermes.harness.errors import HermesError, ImageError
from hermes.harness.images import ImageHandle
from hermes.harness.progress import Progress, Silent
from hermes.harness.types import Record, Sample

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


def check_data(task: str, source: str, images: bool = True, progress: Progress | None = None) -> DataCheck:
    """Look at all rows of a task's data, and at all images unless they are left out; nothing is changed.

    Raises HermesError for files that cannot be read or hold no rows; what is wrong with the rows is in ``problems``.
    """
    progress = progress or Silent()
    evaluator = registry.evaluator(task)
    table = open_table(evaluator, source, "test")
    expected = evaluator.data.shapes_n if table.world == "shapes" else evaluator.data.n
    findings = _Findings()
    progress.start("rows", expected)
    reader = _Reader(evaluator, table, findings, progress)
    samples = list(_samples(evaluator, reader.good(), findings))
    if reader.unreadable:
        raise reader.unreadable
    if not reader.rows:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a folder with its rows")
    _check_ids(samples, findings)
    decoded = _check_images(samples, findings, progress) if images else None
    usable = not findings.counts
    if expected and len(samples) != expected:
        findings.add("wrong number of samples", f"{len(samples)}, but {evaluator.title} has {expected}")
    seen = samples if images else [sample.model_copy(update={"images": ()}) for sample in samples]
    return DataCheck(
        task=task,
        source=source,
        rows=reader.rows,
        n=len(samples),
        n_expected=expected,
        columns=tuple(reader.columns),
        images=decoded,
        fingerprint=fingerprint(seen, table.pin) if usable else None,
        problems=findings.problems(),
    )


def _samples(evaluator: Evaluator, rows: Iterable[Row], findings: _Findings) -> Iterator[Sample]:
    """The samples of the good rows, up to where rows that are good alone do not go together."""
    try:
        yield from evaluator.samples(rows)
    except HermesError as error:
        findings.add("bad row", str(error))


def _check_ids(samples: Iterable[Sample], findings: _Findings) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            findings.add("id stands in two rows", repr(sample.id))
        seen.add(sample.id)


def _check_images(samples: list[Sample], findings: _Findings, progress: Progress) -> int:
    """How many different images decode."""
    handles: dict[str | int, ImageHandle] = {}
    for handle in (handle for sample in samples for handle in sample.images):
        handles.setdefault(handle.source if isinstance(handle.source, str) else id(handle.source), handle)
    decoded = 0
    progress.start("images", len(handles))
    for handle in handles.values():
        try:
            handle.open()
            decoded += 1
        except ImageError as error:
            findings.add("broken image", str(error).partition("; ")[0])
        progress.advance()
    return decoded
