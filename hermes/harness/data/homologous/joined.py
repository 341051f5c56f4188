"""Items of several files, or of rows with one question each, joined by id on the disk, so that memory stays flat."""

import os
import pickle
import shutil
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hermes.harness.data.homologous.records import Item, Question
from hermes.harness.system.errors import HermesError

TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16384;
create table items (place integer primary key, id blob unique, file integer, content blob);
create table asked (place integer, file integer, row integer, content blob, primary key (place, file, row))
without rowid;
"""
EVERY = """
select items.place, id, items.content, asked.file, row, asked.content
from items left join asked on asked.place = items.place
order by items.place, asked.file, row
"""
WHOLE = -1  # Stands for the row where all questions stand with their item.
Part = tuple[Item, Question | None]


class JoinedItems:
    """The items by id, in the order in which the ids come first, in a temporary file that goes with this object.

    ``files`` gives the rows of each file: the item, and the one question that the row asks about it, or None where it
    is the whole item. Raises HermesError where rows or files contradict each other, and where two whole items of a file
    have one id.
    """

    def __init__(self, files: Mapping[Path, Iterable[Part]]) -> None:
        self._paths = list(files)
        folder = Path(mkdtemp(prefix="hermes-items-"))
        weakref.finalize(self, _remove, folder, os.getpid())
        self._base = folder / "items.sqlite"
        try:
            with closing(self._open()) as base:
                base.executescript(TABLES)
                for number, (path, parts) in enumerate(files.items()):
                    for row, (item, question) in enumerate(parts):
                        _add(base, number, row, item, question, path)
                base.commit()
        except sqlite3.Error as error:
            raise HermesError(f"{folder}: no room to join the files ({error}); set TMPDIR to a larger disk") from None

    def __iter__(self) -> Iterator[Item]:
        with closing(self._open()) as base:
            for _, rows in groupby(base.execute(EVERY), itemgetter(0)):
                yield self._item([row[1:] for row in rows])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._base, check_same_thread=False)

    def _item(self, rows: list[tuple[Any, ...]]) -> Item:
        name = rows[0][0].decode(errors="surrogatepass")
        caption, image, metadata = pickle.loads(rows[0][1])
        questions: tuple[Any, ...] | None = None
        for file, asked in groupby((row[2:] for row in rows if row[2] is not None), itemgetter(0)):
            questions = _agreed("questions", questions, _asked(list(asked)), name, self._paths[file])
        read = None if questions is None else tuple(_question(fields) for fields in questions)
        return Item(name, caption, image, read, metadata)


def _add(base: sqlite3.Connection, file: int, row: int, item: Item, question: Question | None, path: Path) -> None:
    key = item.id.encode(errors="surrogatepass")
    content = (item.caption, item.image, item.metadata)
    known = base.execute("select place, file, content from items where id = ?", (key,)).fetchone()
    if known is None:
        added = "insert into items (id, file, content) values (?, ?, ?)"
        place = base.execute(added, (key, file, pickle.dumps(content))).lastrowid
    else:
        place, last, stored = known
        if question is None and last == file:
            raise HermesError(f"{path}: the id {item.id!r} stands in two rows; every row needs its own id")
        names, before = ("caption", "image", "metadata"), pickle.loads(stored)
        both = (_agreed(*found, item.id, path) for found in zip(names, before, content, strict=True))
        changed = "update items set file = ?, content = ? where place = ?"
        base.execute(changed, (file, pickle.dumps(tuple(both)), place))
    asked = "insert into asked values (?, ?, ?, ?)"
    if question is not None:
        base.execute(asked, (place, file, row, pickle.dumps(_fields(question))))
    elif item.questions is not None:
        base.execute(asked, (place, file, WHOLE, pickle.dumps(tuple(map(_fields, item.questions)))))


def _agreed(what: str, before: Any, after: Any, name: str, path: Path) -> Any:
    """Whichever is there; HermesError where both are and differ."""
    if before is not None and after is not None and before != after:
        raise HermesError(f"{path}: item {name!r} has other {what} than a row or file before; keep one of them")
    return before if after is None else after


def _asked(rows: list[tuple[int, int, bytes]]) -> tuple[Any, ...]:
    """The questions of one file: those of rows with one each, else those that stand with the item."""
    alone = tuple(pickle.loads(content) for _, row, content in rows if row != WHOLE)
    whole: tuple[Any, ...] = alone or pickle.loads(rows[0][2])
    return whole


def _fields(question: Question) -> tuple[Any, ...]:
    return question.question, question.answer, question.kind, question.choices, question.element


def _question(fields: tuple[Any, ...]) -> Question:
    question, answer, kind, choices, element = fields
    return Question(question=question, answer=answer, kind=kind, choices=choices, element=element)


def _remove(folder: Path, process: int) -> None:
    """Remove the folder, unless this is a fork of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
