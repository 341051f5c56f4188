"""One answer of a file: in our own form, or as benchmarks' scripts and other harnesses write it.

- VQA results: ``[{"question_id", "answer"}]``; GQA: ``[{"questionId", "prediction"}]``; COCO captions:
  ``[{"image_id", "caption"}]``; LLaVA: a line ``{"question_id", "prompt", "text"}`` each.
- VLMEvalKit's TSV, CSV and XLSX: a row with ``index``, ``question`` and ``prediction`` each.
- MMMU's ``{id: answer}``, TIFA's imgs.json and GenEval 2's image paths ``{id: path}``: one object.
- WISE's results: see official/wise.py.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hermes.harness.contracts.fields import spelled
from hermes.harness.data.files import TABLES, file_rows, line_objects
from hermes.harness.data.given import Given, question_of
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.json_stream import holds_table, json_members, json_values
from hermes.harness.data.official.wise import ID, is_wise_answer, wise_judgement
from hermes.harness.data.rows import in_folder
from hermes.harness.records.images import ImageHandle, image_handle
from hermes.harness.records.sources import is_path
from hermes.harness.records.types import Ability
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import plain

KINDS = ("response", "image", "judgement")
LINE = '{"id", "index", and one of "response" (text), "image" (a path), "judgement" (an object)}'
FORMS = (
    ("questionId", "prediction"),
    ("question_id", "prediction"),
    ("index", "prediction"),
    ("id", "prediction"),
    ("question_id", "text"),
    ("question_id", "answer"),
    ("image_id", "caption"),
)
NAMES = {"id", *KINDS, *(name for form in FORMS for name in form)}
OF_ROWS = {"answers", "answer_type", "category", "choices", "image", "image_source", "label", "options", "question"}
"""Columns of rows, beside which "text" is a question and "answer" the right one."""
WORKBOOK = ".xlsx"
"""A workbook has no empty text: a cell of one is empty, as if there were no answer."""
MOST_IMAGES = 1000


def answer_key(entry: Mapping[str, Any]) -> str:
    """The name under which an entry holds the id of what it answers; "" where it holds none."""
    form = _form(entry)
    if is_wise_answer(entry):
        return ID
    return "doc_id" if "doc_id" in entry else form[0] if form else "id" if "id" in entry else ""


def entries(path: Path, ability: Ability) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every answer of a file as a record, after where it stands. Raises HermesError that names the place."""
    if path.suffix.lower() in TABLES:
        yield from ((f"{path} row {number}", row) for number, row in enumerate(file_rows(path), 1))
    elif _begins(path) == "[":
        for number, entry in enumerate(json_values(path, strict=True), 1):
            if not isinstance(entry, dict):
                raise HermesError(f"{path} answer {number} is not an object; expected {LINE}")
            yield f"{path} answer {number}", entry
    elif holds_table(path, {*NAMES, ID, "doc_id", "filename"}):
        yield from _by_id(path, "response" if ability == "understanding" else "image")
    else:
        yield from line_objects(path, LINE)


def given(entry: Mapping[str, Any], where: str, file: Path) -> Given:
    """The answer of an entry. Raises HermesError where it is none."""
    if is_wise_answer(entry):
        return Given(as_id(entry[ID], where), 0, where, judgement=wise_judgement(entry))
    form = _form(entry)
    if form is not None:
        name, text = (entry[key] for key in form)
        if text is None and file.suffix.lower() == WORKBOOK:
            text = ""
        asked = entry.get("prompt", entry.get("question"))
        return Given(as_id(name, where), 0, where, text=_text(spelled(text), where), asked=question_of(asked))
    kinds = [kind for kind in KINDS if entry.get(kind) is not None] or [kind for kind in KINDS if kind in entry]
    if "id" not in entry or len(kinds) != 1:
        held = ", ".join(map(str, entry)) or "nothing"
        raise HermesError(f"{where} holds {held}; expected {LINE}, or one of the forms in docs/benchmarks.md")
    name, index, content = as_id(entry["id"], where), _index(entry.get("index", 0), where), entry[kinds[0]]
    if kinds[0] == "response":
        return Given(name, index, where, text=_text(content, where))
    if kinds[0] == "image":
        return Given(name, index, where, image=_image(content, file, where))
    if isinstance(content, dict):
        return Given(name, index, where, judgement=content)
    raise HermesError(f"{where}: judgement must be an object, not {type(content).__name__}")


def as_id(value: Any, where: str) -> str:
    """An id as text. Raises HermesError for what is neither text nor a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise HermesError(f"{where}: id must be text or a whole number, not {shown(value)}")
    return str(value)


def shown(value: Any) -> str:
    """A value as an error shows it."""
    return plain(repr(value), longest=60)


def _form(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of id and text where the entry is in one of the forms of others."""
    found = next((form for form in FORMS if form[0] in entry and form[1] in entry), None)
    if found is None or found[1] == "prediction":
        return found
    texts = {form[1] for form in FORMS} & entry.keys()
    return found if len(texts) == 1 and not OF_ROWS & entry.keys() and "id" not in entry else None


def _begins(path: Path) -> str:
    """The first character of a file that is no space."""
    with path.open("rb") as file:
        for line in file:
            if text := line.decode("utf-8-sig", errors="replace").strip():
                return text[0]
    return ""


def _by_id(path: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The members of an object; one that is a list holds several answers to one sample."""
    for name, value in json_members(path):
        for index, one in enumerate(value if isinstance(value, list) else [value]):
            yield f"{path} {shown(name)}", {"id": name, "index": index, kind: one}


def _index(value: Any, where: str) -> int:
    value = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST_IMAGES:
        raise HermesError(f"{where}: index must be a whole number from 0 to {MOST_IMAGES - 1}, not {shown(value)}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise HermesError(f"{where}: response must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise HermesError(f"{where}: the text holds half of a character; write it again") from None
    return value


def _image(value: Any, file: Path, where: str) -> ImageHandle:
    source = in_folder(value, "")
    if not is_path(source):
        return image_handle(source, where)
    found = str(source) if file.suffix.lower() in TABLES else image_path(source, file.parent, image_root())
    return ImageHandle(found, where=found)
