"""`hermes export`: every answer of a run with its sample and score, one row each, as a table for other programs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hermes.harness.system.disk import new_file
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress
from hermes.viewer.entries import COLUMNS, NUMBER, TEXT, TEXTS, TRUTH, WHOLE, TaskRows, as_text, entry
from hermes.viewer.found import Found, find
from hermes.viewer.inspect_log import write_logs
from hermes.viewer.rows import Rows

if TYPE_CHECKING:
    import pandas

CHUNK = 2048
NOTHING = "{source} has no answers yet; run hermes eval first"
NOT_STORED = "prompts, right answers and pictures were not stored; hermes eval with the same options does it"
SUFFIXES = ("parquet", "csv", "jsonl")
Add = Callable[["pandas.DataFrame"], object]


def export(source: Path, kind: str, out: Path | None, progress: Progress) -> tuple[Path, int]:
    """Write all answers of the runs under a folder; returns where, and how many there are.

    Raises HermesError where there are none, for damaged files, and for a ``kind`` that is unknown.
    """
    if kind not in (*SUFFIXES, "inspect"):
        raise HermesError(f"unknown format {kind!r}; choose from {', '.join((*SUFFIXES, 'inspect'))}")
    found = find([source])
    if not found.runs:
        raise HermesError(next(iter(found.problems), f"{source} holds no run; give the folder of a run"))
    for problem in found.problems:
        progress.say(problem)
    path = out or Path(f"{_name(source)}{'-inspect' if kind == 'inspect' else f'.{kind}'}")
    tasks = _tasks(found, source, progress)
    count = write_logs(tasks, path, progress) if kind == "inspect" else _write_table(tasks, kind, path, progress)
    return path, count


def _tasks(found: Found, source: Path, progress: Progress) -> Iterator[TaskRows]:
    """The tasks that have answers, one after the other, so that no more than one is in memory.

    Raises HermesError at the end where there was none, so that what is written of them comes to nothing.
    """
    told, some = False, False
    for run in found.runs.values():
        for task in run.tasks.values():
            files = run.files(task)
            if files is None or not (files.scores.is_file() or files.store.is_dir()):
                continue
            rows = Rows(files, run.run.results[task].headline if run.run else "")
            for problem in rows.problems:
                progress.say(problem)
            if not rows:
                continue
            some = True
            if not rows.stored and not told:
                told = True
                progress.say(NOT_STORED)
            progress.start(f"export {task}", len(rows))
            yield TaskRows(run, task, rows)
    if not some:
        raise HermesError(NOTHING.format(source=source))


def _write_table(tasks: Iterable[TaskRows], kind: str, path: Path, progress: Progress) -> int:
    """Write the answers of all tasks to a file; returns how many there are."""
    count = 0
    with new_file(path) as file, WRITERS[kind](file) as add:
        for one in tasks:
            for frame in _frames(one):
                add(frame)
                count += len(frame)
                progress.advance(len(frame))
    return count


def _name(source: Path) -> str:
    return source.resolve().name


def _frames(one: TaskRows) -> Iterator["pandas.DataFrame"]:
    """The rows of a task as frames of limited length."""
    import pandas

    rows = iter(one.rows)
    while chunk := [entry(one, row) for row in islice(rows, CHUNK)]:
        yield pandas.DataFrame(chunk, columns=list(COLUMNS))


@contextmanager
def _parquet(file: BinaryIO) -> Iterator[Add]:
    import pyarrow
    from pyarrow import parquet

    types = {
        TEXT: pyarrow.string(),
        NUMBER: pyarrow.float64(),
        WHOLE: pyarrow.int64(),
        TRUTH: pyarrow.bool_(),
        TEXTS: pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        yield lambda frame: writer.write_table(pyarrow.Table.from_pandas(frame, schema, preserve_index=False))


@contextmanager
def _csv(file: BinaryIO) -> Iterator[Add]:
    file.write((",".join(COLUMNS) + "\n").encode())

    def add(frame: "pandas.DataFrame") -> None:
        texts = {name: frame[name].map(as_text) for name, kind in COLUMNS.items() if kind == TEXTS}
        file.write(frame.assign(**texts).to_csv(index=False, header=False).encode())

    yield add


@contextmanager
def _jsonl(file: BinaryIO) -> Iterator[Add]:
    yield lambda frame: file.write(frame.to_json(orient="records", lines=True, force_ascii=False).encode())


WRITERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
