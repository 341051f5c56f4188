"""VQA's own files: questions and annotations (visualqa.org), joined by question_id, and COCO's images.

- ``v2_OpenEnded_mscoco_val2014_questions.json``: ``{"questions": [{image_id, question, question_id}], ...}``
- ``v2_mscoco_val2014_annotations.json``: ``{"annotations": [{question_id, image_id, question_type, answer_type,
  multiple_choice_answer, answers: [{answer, answer_confidence, answer_id}]}], ...}``; test questions have none
- ``val2014/COCO_val2014_000000000042.jpg``
"""

import re
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.json_stream import json_elements
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.system.errors import HermesError

LISTS = ("questions", "annotations")
SUBTYPE = re.compile(r"(?:train|val|test)(?:-dev)?\d{4}")


def vqa_rows(source: Path, columns: Collection[str], split: str) -> Rows | None:
    """The rows of a folder with both files, or of either file with the other beside it; None where there is neither.

    Annotations alone are rows without questions, which scoring does not need. Raises HermesError where annotations are
    wanted and missing, and where several files are there of which none is of the split.
    """
    files = [source] if source.is_file() else sorted(source.glob("*.json"))
    kinds = {path: kind for path in files if (kind := _kind(path))}
    if not kinds:
        return None
    home = source.parent if source.is_file() else source
    if source.is_file():
        kinds |= {path: kind for path in sorted(home.glob("*.json")) if (kind := _kind(path))}
    given = source if source.is_file() else None
    questions = _chosen(kinds, "questions", given, split, home)
    if "answers" not in columns:
        return Rows(partial(_joined, questions, None)) if questions else None
    annotations = _chosen(kinds, "annotations", given or questions, split, home)
    if annotations is None:
        raise HermesError(f"{questions}: the annotations, which hold the answers, are not beside it; add their file")
    return Rows(partial(_joined, questions, annotations))


def _kind(path: Path) -> str:
    """Which of the two files this is; "" where it is neither."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return ""
    try:
        return next((name for name, element in json_elements(path, LISTS) if isinstance(element, dict)), "")
    except HermesError:
        return ""


def _chosen(kinds: dict[Path, str], kind: str, like: Path | None, split: str, home: Path) -> Path | None:
    """The one file of the kind that is given, that is of the same images as another file, or that is of the split."""
    found = [path for path, other in kinds.items() if other == kind]
    if like in found:
        return like
    if like is not None and (subtype := _subtype(like)):
        found = [path for path in found if _subtype(path) in (subtype, "")]
    if len(found) > 1:
        found = [path for path in found if _subtype(path).startswith(split[:3])]
        found = [path for path in found if ("dev" in _subtype(path)) == ("dev" in split)] or found
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise HermesError(f"{home} holds several files of {kind} ({names}); give the one to be read")
    return found[0] if found else None


def _subtype(path: Path) -> str:
    """The part of COCO that a file's name names, as in "val2014"."""
    found = SUBTYPE.search(path.name)
    return found[0] if found else ""


def _joined(questions: Path | None, annotations: Path | None) -> Iterator[Row]:
    """A row for each question that has an annotation, for each question or for each annotation where one file is None.

    The official files have one order, in which they are read side by side; only questions that come out of turn are
    kept until their annotation does.
    """
    asked = _elements(questions, "questions") if questions else iter(())
    if annotations is None:
        yield from (_with_image(row, questions) for row in asked)
        return
    waiting: dict[Any, Row] = {}
    for said in _elements(annotations, "annotations"):
        name = said.get("question_id")
        while questions and name not in waiting and (entry := next(asked, None)) is not None:
            if isinstance(entry, BadRow):
                yield entry
            else:
                waiting[entry.get("question_id")] = entry
        if isinstance(said, BadRow):
            yield said
        elif not questions or name in waiting:
            yield _with_image({**said, **waiting.pop(name, {})}, questions or annotations)


def _elements(path: Path, name: str) -> Iterator[Row]:
    for number, (_, element) in enumerate(json_elements(path, (name,)), 1):
        if isinstance(element, dict):
            yield element
        else:
            yield BadRow(HermesError(f"{path}: {name} {number} is not an object; fix it"))


def _with_image(row: Row, file: Path | None) -> Row:
    if isinstance(row, BadRow) or file is None or "image" in row:
        return row
    return {**row, "image": coco_image(row.get("image_id"), file)}


def coco_image(number: Any, file: Path) -> str:
    """Where the image lies that a file of questions about COCO names by its number."""
    subtype = _subtype(file).replace("-dev", "") or "val2014"
    name = f"COCO_{subtype}_{int(number):012d}.jpg" if str(number).isdecimal() else f"{number}.jpg"
    places = (f"{subtype}/{name}", name, f"{number}.jpg", f"{number}.png")
    found = (image_path(place, file.parent, image_root()) for place in places)
    return next((path for path in found if Path(path).is_file()), str(file.parent / places[0]))
