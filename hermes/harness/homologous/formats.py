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

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hermes.harness.errors import HermesError
from hermes.harness.homologous.loose_json import json_values
from hermes.harness.homologous.records import Item, Question, read_question, read_questions
from hermes.harness.rows import READERS, file_rows, folder_files

IMAGE_ROOT = "HERMES_IMAGE_ROOT"
IMAGE_FOLDERS = ("", "imgs", "images")
ROW_KEYS = {"caption", "prompt", "question", "questions", "img_path", "image", "Task2"}


def homologous_rows(source: Path, task: str, split: str) -> Iterator[dict[str, Any]]:
    """``{id, image, caption, questions}`` of every item that has questions; ``image`` is None where there is none.

    Raises HermesError for items without caption, and where there are no questions.
    """
    files = source_files(source, task, split)
    items = read_items(files)
    asked = [item for item in items if item.questions]
    silent = [item.id for item in items if item.questions is None]
    if not asked or (silent and len(files) == 1):
        which = f"item {silent[0]!r} has" if asked else "the items have"
        raise HermesError(f"{source}: {which} no questions; `hermes data questions` makes some")
    for item in asked:
        if item.caption is None:
            raise HermesError(f"{source}: item {item.id!r} has questions but no caption; add the file with captions")
        questions = [question.row() for question in item.questions or ()]
        yield {"id": item.id, "image": item.image, "caption": item.caption, "questions": questions}


def source_files(source: Path, task: str, split: str) -> list[Path]:
    """The file itself; of a folder ``<task>``, ``homologous`` or ``<split>`` with a known suffix, else all of it."""
    if source.is_file():
        return [source]
    for name in (task, "homologous", split):
        if named := [path for suffix in READERS if (path := source / f"{name}{suffix}").is_file()]:
            return named[:1]
    files = folder_files(task, source, None, split)
    if not files:
        raise HermesError(f"{source} holds no rows for {task}; give a folder with captions and questions")
    return files


def read_items(files: Iterable[Path], images: Path | None = None) -> list[Item]:
    """All items of the files, joined by id, in the order in which the ids come first.

    Relative image paths are looked up in ``images`` (else in the folder that HERMES_IMAGE_ROOT names), beside the file,
    in imgs/ and images/ there, and in the folders above. Raises HermesError where two files contradict each other.
    """
    root = images or (Path(os.environ[IMAGE_ROOT]) if os.environ.get(IMAGE_ROOT) else None)
    found: dict[str, Item] = {}
    for path in files:
        for item in _file_items(path, root).values():
            found[item.id] = _joined(found[item.id], item, path) if item.id in found else item
    return [item for item in found.values() if item.caption is not None or item.questions is not None]


def _joined(old: Item, new: Item, path: Path) -> Item:
    changes: dict[str, Any] = {}
    for name in ("caption", "image", "questions", "metadata"):
        before, after = getattr(old, name), getattr(new, name)
        if before is not None and after is not None and before != after:
            raise HermesError(f"{path}: item {new.id!r} has other {name} than a row or file before; keep one of them")
        changes[name] = before if after is None else after
    return replace(old, **changes)


def _file_items(path: Path, root: Path | None) -> dict[str, Item]:
    """The items of one file; rows with one question each are gathered."""
    found: dict[str, Item] = {}
    several: dict[str, list[Question]] = {}
    for number, row in enumerate(_rows(path)):
        where = f"{path}: row {number + 1}"
        if not isinstance(row, Mapping):
            raise HermesError(f"{where} is not an object; write one object for each row")
        item = _item(row, number, where, path.parent, root)
        if isinstance(row.get("question"), str):
            several.setdefault(item.id, []).append(read_question(row, where))
            found[item.id] = _joined(found[item.id], item, path) if item.id in found else item
        elif item.id in found:
            raise HermesError(f"{path}: the id {item.id!r} stands in two rows; every row needs its own id")
        else:
            found[item.id] = item
    return found | {name: replace(found[name], questions=tuple(asked)) for name, asked in several.items()}


def _rows(path: Path) -> Iterable[Any]:
    if path.suffix not in (".json", ".jsonl"):
        return file_rows(path)
    values = json_values(path)
    if len(values) == 1 and isinstance(values[0], dict) and not ROW_KEYS & values[0].keys():
        return list(_rows_by_id(values[0]))
    return values


def _rows_by_id(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a table by id, of paths by id, or of questions by id; nothing from objects that are no such table."""
    for key, value in table.items():
        if isinstance(value, dict) and ROW_KEYS & value.keys():
            yield {"id": key, **value}
        elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            yield {"id": key, "questions": value}
        elif isinstance(value, str):
            yield {"id": key, "img_path": value}


def _item(row: Mapping[str, Any], number: int, where: str, folder: Path, root: Path | None) -> Item:
    image = next((row[key] for key in ("image", "img_path") if row.get(key)), None)
    name = row.get("id")
    if name is None and isinstance(row.get("question"), str):
        raise HermesError(f"{where} asks a question but has no id; add the id of its caption")
    if name is None:
        name = Path(image).stem if isinstance(image, str) else f"{number:05d}"
    task = row.get("Task2")
    captions = (row.get("caption"), task.get("Caption") if isinstance(task, Mapping) else None, row.get("prompt"))
    caption = next((text for text in captions if text), None)
    if caption is not None and not isinstance(caption, str):
        raise HermesError(f"{where}: the caption must be text, not {type(caption).__name__}; mend the row")
    return Item(
        id=str(name),
        caption=caption,
        image=image_path(image, folder, root) if isinstance(image, str) else image,
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


def image_path(value: str, folder: Path, root: Path | None) -> str:
    """Where the image lies that an annotation file in ``folder`` names; beside the file if it is nowhere."""
    homes = [root] if root else []
    homes += [folder / name for name in IMAGE_FOLDERS] + list(folder.absolute().parents)
    return str(next((path for home in homes if (path := home / value).is_file()), folder / value))
