"""Homologous items from files: our rows, JourneyDB's and HermesFlow's annotations, TIFA's files, GenEval's prompts.

What is read, one row an item unless said otherwise (JSON, JSON lines, CSV, parquet):
- Hermes: ``{id, image, caption, questions: [{question, answer, kind, choices?}]}``.
- HermesFlow (Gen-Verse/HermesFlow at d6cf91a, README): initial_data.json with ``{id, img_path, prompt, caption}`` and
  vqa_data.json with one row a question in TIFA's columns, both also as its scripts leave them, appended objects with
  commas between them. Images are generated from ``caption``, so ``prompt`` counts only where there is no caption.
- JourneyDB: ``{img_path, prompt, Task2: {Caption}, Task3: {kind: [{Question, Options, Answer}]}}``; the id is the
  image's name. Entries of Task3 that lack question or answer are known to occur and are left out.
- TIFA (Yushi-Hu/tifa at 8e37050): text_inputs.json ``{id, caption}``, question_answers.json with one row a question
  ``{id, caption, element, question, choices, answer, element_type}``, imgs.json ``{id: path}``.
- GenEval: evaluation_metadata.jsonl ``{tag, include, exclude?, prompt}``; the id is the row's number.

The files of a folder are joined by id. Where more than one is there, the items are those that some file asks questions
of, as in the reference scripts; a caption alone then is no item.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.files import file_rows
from hermes.harness.data.homologous.joined import JoinedItems, Part
from hermes.harness.data.homologous.records import Item, Question, read_question, read_questions
from hermes.harness.data.homologous.splits import Share, files_of
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.json_stream import holds_table, json_members, json_values
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.data.saved import saved_rows
from hermes.harness.data.shares import MadeUp, of_splits
from hermes.harness.records.sources import is_path, unwrapped
from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError

ROW_KEYS = {"caption", "prompt", "question", "questions", "img_path", "image", "Task2"}


def homologous_rows(source: Path, task: str, split: Split, held_out: Collection[Split] = ()) -> Rows:
    """``{id, image, caption, questions}`` of every item that has questions; ``image`` is None where there is none.

    Where some splits are ``held_out``, the split's rows are none of theirs: `splits.Files.share`. Raises HermesError
    for items without caption, and where there are no questions.
    """
    found = files_of(source, task)
    share = found.share(split, held_out) if held_out else Share(found.of(split), (split,), {split})
    items = read_items(share.files)
    rows = Rows(lambda: _asked_rows(items.with_bad(), source, len(share.files) == 1), ungrouped=items.whole)
    return of_splits(rows, share.wanted, share.among, str(source))


def _asked_rows(items: Iterable[Item | BadRow], source: Path, alone: bool) -> Iterator[Row]:
    """The rows of the items with questions; where one file is ``alone``, all of its items must have some."""
    silent: Item | None = None
    some = False
    for item in items:
        if isinstance(item, BadRow):
            some = True
            yield item
            continue
        if item.questions is None:
            silent = silent or item
        some = some or bool(item.questions)
        if silent and some and alone:
            raise HermesError(f"{source}: item {silent.id!r} has no questions; `hermes data questions` makes some")
        if not item.questions:
            continue
        if item.caption is None:
            raise HermesError(f"{source}: item {item.id!r} has questions but no caption; add the file with captions")
        questions = [question.row() for question in item.questions]
        yield {"id": item.id, "image": item.image, "caption": item.caption, "questions": questions}
    if not some:
        raise HermesError(f"{source}: the items have no questions; `hermes data questions` makes some")


def read_items(files: Sequence[Path], images: Path | None = None) -> "Items":
    """All items of the files, joined by id, in the order in which the ids come first.

    Relative image paths are looked up in ``images`` (else in the folder that HERMES_IMAGE_ROOT names), beside the file,
    in imgs/ and images/ there, and in the folders above. Raises HermesError where two files contradict each other.
    """
    return Items(tuple(files), images or image_root())


@dataclass(frozen=True)
class Items:
    """Items that can be gone through many times: read from their file, or from where several were joined once."""

    files: tuple[Path, ...]
    root: Path | None

    def __iter__(self) -> Iterator[Item]:
        for item in self.with_bad():
            if isinstance(item, BadRow):
                raise item.error
            yield item

    def with_bad(self) -> Iterator[Item | BadRow]:
        """The items as they come, with the errors of rows of a file that holds a whole item in each row."""
        every: Iterable[Item | BadRow] = self._stream() if self.whole else self._joined
        return (
            item for item in every if isinstance(item, BadRow) or item.caption is not None or item.questions is not None
        )

    @cached_property
    def whole(self) -> bool:
        """Whether there is one file, with a whole item in each row."""
        return len(self.files) == 1 and not any(map(_asks_one, islice(_rows(self.files[0]), 1)))

    @cached_property
    def _joined(self) -> JoinedItems:
        """Shared by all who read the same files, as both sides of the benchmark do."""
        stats = [path.stat() for path in self.files]
        key = (self.files, self.root, *((stat.st_mtime_ns, stat.st_size) for stat in stats))
        found = _JOINED.get(key)
        if found is None:
            found = _JOINED[key] = JoinedItems({path: self._parts(path) for path in self.files})
        return found

    def _stream(self) -> Iterator[Item | BadRow]:
        (path,) = self.files
        ids = Doubles()
        for number, row in enumerate(_rows(path)):
            try:
                item, question = self._part(path, number, row)
            except HermesError as error:
                yield BadRow(error)
                continue
            if question is not None:
                raise HermesError(
                    f"{path}: a row of item {item.id!r} asks one question, the rows before hold whole items; "
                    "put the two in files of their own"
                )
            ids.add(item.id)
            yield item
        ids.refuse(lambda: (item.id for item, _ in self._parts(path)), str(path))

    def _parts(self, path: Path) -> Iterator[Part]:
        """The item of every row, and the one question that the row asks."""
        return (self._part(path, number, row) for number, row in enumerate(_rows(path)))

    def _part(self, path: Path, number: int, row: Any) -> Part:
        where = f"{path}: row {number + 1}"
        if not isinstance(row, Mapping):
            raise HermesError(f"{where} is not an object; write one object for each row")
        item = _item(row, number, where, path.parent, self.root)
        return item, read_question(row, where) if _asks_one(row) else None


_JOINED: WeakValueDictionary[tuple[Any, ...], JoinedItems] = WeakValueDictionary()


def _asks_one(row: Any) -> bool:
    """Whether a row asks one question about an item, rather than holding the item."""
    return isinstance(row, Mapping) and isinstance(row.get("question"), str)


def _rows(path: Path) -> Iterable[Any]:
    if path.is_dir():
        return saved_rows(path, "test")
    if path.suffix.lower() not in (".json", ".jsonl"):
        return file_rows(path)
    return _rows_by_id(json_members(path)) if holds_table(path, ROW_KEYS) else json_values(path)


def _rows_by_id(table: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of a table by id, of paths by id, or of questions by id; nothing from objects that are no such table."""
    for key, value in table:
        if isinstance(value, dict) and ROW_KEYS & value.keys():
            yield {"id": key, **value}
        elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            yield {"id": key, "questions": value}
        elif isinstance(value, str):
            yield {"id": key, "img_path": value}


def _item(row: Mapping[str, Any], number: int, where: str, folder: Path, root: Path | None) -> Item:
    image = next((source for key in ("image", "img_path") if (source := unwrapped(row.get(key)))), None)
    name = row.get("id")
    if name is None and isinstance(row.get("question"), str):
        raise HermesError(f"{where} asks a question but has no id; add the id of its caption")
    if name is None:
        name = MadeUp(Path(image).stem if is_path(image) else f"{number:05d}")
    task = row.get("Task2")
    captions = (row.get("caption"), task.get("Caption") if isinstance(task, Mapping) else None, row.get("prompt"))
    caption = next((text for text in captions if text), None)
    if caption is not None and not isinstance(caption, str):
        raise HermesError(f"{where}: the caption must be text, not {type(caption).__name__}; fix the row")
    return Item(
        id=name if isinstance(name, MadeUp) else str(name),
        caption=caption,
        image=image_path(image, folder, root) if is_path(image) else image,
        questions=_questions(row, f"homologous item {name}"),
        metadata=row if isinstance(row.get("include"), list) else None,
    )


def _questions(row: Mapping[str, Any], where: str) -> tuple[Question, ...] | None:
    if row.get("questions") is not None:
        return () if row.get("reason") and not row["questions"] else read_questions(row["questions"], where)
    tasks = row.get("Task3")
    if not isinstance(tasks, Mapping):
        return None
    return tuple(
        read_question({"type": str(kind).lower().partition(" ")[0], **entry}, where)
        for kind, entries in tasks.items()
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and entry.get("Question") and entry.get("Answer")
    )
