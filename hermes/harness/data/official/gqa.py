"""GQA's own files: one object of questions by id, such as testdev_balanced_questions.json, and images/<imageId>.jpg."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.json_stream import json_members
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.system.errors import HermesError

USUAL = "testdev_balanced_questions.json"
FILLED = {"fullAnswer": "", "isBalanced": True}
SUFFIXES = (".jpg", ".png")


def gqa_rows(source: Path) -> Rows | None:
    """The rows of such a file, of the one that a folder holds, or of testdev_balanced among several; None for others.

    Questions that do not say whether they are balanced are. Raises HermesError where a folder holds several others.
    """
    if source.is_file():
        return Rows(partial(_rows, source)) if _holds_questions(source) else None
    files = [path for path in sorted(source.glob("*.json")) if _holds_questions(path)]
    files = [path for path in files if path.name == USUAL] or files
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:5])
        raise HermesError(f"{source} holds several files of questions ({names}); give the one to be read")
    return Rows(partial(_rows, files[0])) if files else None


def _holds_questions(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    try:
        _, first = next(json_members(path), ("", None))
    except HermesError:
        return False
    return isinstance(first, dict) and {"question", "imageId"} <= first.keys()


def _rows(path: Path) -> Iterator[Row]:
    for name, entry in json_members(path):
        if isinstance(entry, dict):
            yield {"id": name, **FILLED, "image": _image(entry.get("imageId"), path), **entry}
        else:
            yield BadRow(HermesError(f"{path}: question {name!r} is not an object; fix it"))


def _image(name: object, file: Path) -> str:
    paths = [image_path(f"{name}{suffix}", file.parent, image_root()) for suffix in SUFFIXES]
    return next((path for path in paths if Path(path).is_file()), paths[0])
