"""Answers from files: responses.jsonl, or the official layouts as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.data.doubles import Doubles
from hermes.harness.data.files import line_objects
from hermes.harness.data.layouts import geneval_folders, geneval_images, grid_images, picture_files
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

KINDS = ("response", "image", "judgement")
LINE = '{"id", "index", and one of "response" (text), "image" (a path), "judgement" (an object)}'
MOST_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class Given:
    """One answer as the file has it; exactly one of text, image and judgement is there. ``where`` names its line."""

    id: str
    index: int
    where: str
    text: str | None = None
    image: ImageHandle | None = None
    judgement: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """What no two answers share."""
        return f"{self.index}/{self.id}"


@dataclass(frozen=True)
class Answers:
    """All answers; ``numbered`` where the ids may be the rows' numbers, as in lmms-eval's samples files."""

    given: list[Given]
    numbered: bool = False

    @property
    def num_images(self) -> int:
        """How many answers a sample has: the highest index and one."""
        return 1 + max(answer.index for answer in self.given)


def read_answers(path: Path, pictures: int, side: int | None) -> Answers:
    """The answers of a file or folder; ``pictures`` and ``side`` say how a grid of images is cut.

    Takes responses.jsonl, an lmms-eval samples file, GenEval's folder, or a folder of images named by sample id.
    Raises HermesError that names the line for anything else, and where one (id, index) stands twice.
    """
    if path.is_dir():
        numbered, given = False, list(_folder(path, pictures, side))
    elif path.is_file():
        numbered = "doc_id" in _first_line(path)
        given = list(_lmms_samples(path) if numbered else _lines(path))
    else:
        raise HermesError(f"{path} does not exist; give a file or folder of answers")
    if not given:
        raise HermesError(f"{path} holds no answers; write one a line: {LINE}")
    ids = Doubles()
    for answer in given:
        ids.add(answer.key)
    for key in ids.every(lambda: (answer.key for answer in given)):
        first, answer = [answer for answer in given if answer.key == key][:2]
        again = f"{answer.where} answers id {answer.id!r}, index {answer.index} again (first in {first.where})"
        raise HermesError(f"{again}; keep one")
    return Answers(given, numbered)


def _folder(path: Path, pictures: int, side: int | None) -> Iterator[Given]:
    if folders := geneval_folders(path):
        for folder in folders:
            for index, file in enumerate(geneval_images(folder)):
                yield Given(folder.name, index, str(file), image=ImageHandle(file, where=str(file)))
        return
    files = picture_files(path)
    if not files:
        raise HermesError(
            f"{path} is no official layout; expected 00000/metadata.jsonl with samples/, or images named by item id"
        )
    for file in files:
        for index, handle in enumerate(grid_images(file, pictures, side)):
            yield Given(file.name.partition(".")[0], index, str(file), image=handle)


def _first_line(path: Path) -> Mapping[str, Any]:
    for _, entry in line_objects(path, LINE):
        return entry
    return {}


def _lmms_samples(path: Path) -> Iterator[Given]:
    from hermes.harness.data.lmms_samples import read_samples

    for number, entry in enumerate(read_samples(path), 1):
        where = f"{path} sample {number}"
        yield Given(as_id(entry["id"], where), entry["index"], where, text=_text(entry["response"], where))


def _lines(path: Path) -> Iterator[Given]:
    for where, entry in line_objects(path, LINE):
        kinds = [kind for kind in KINDS if kind in entry]
        if "id" not in entry or len(kinds) != 1:
            held = ", ".join(entry) or "nothing"
            raise HermesError(f"{where} holds {held}; expected {LINE}")
        name, index, content = as_id(entry["id"], where), _index(entry.get("index", 0), where), entry[kinds[0]]
        if kinds[0] == "response":
            yield Given(name, index, where, text=_text(content, where))
        elif kinds[0] == "image":
            yield Given(name, index, where, image=_image(content, path.parent, where))
        elif isinstance(content, dict):
            yield Given(name, index, where, judgement=content)
        else:
            raise HermesError(f"{where}: judgement must be an object, not {type(content).__name__}")


def as_id(value: Any, where: str) -> str:
    """An id as text. Raises HermesError for what is neither text nor a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise HermesError(f"{where}: id must be text or a whole number, not {value!r}")
    return str(value)


def _index(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST_IMAGES:
        raise HermesError(f"{where}: index must be a whole number from 0 to {MOST_IMAGES - 1}, not {value!r}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise HermesError(f"{where}: response must be text, not {type(value).__name__}")
    return value


def _image(value: Any, folder: Path, where: str) -> ImageHandle:
    if not isinstance(value, str) or not value:
        raise HermesError(f"{where}: image must be the path of a file, not {value!r}")
    return ImageHandle(folder / value, where=str(folder / value))
