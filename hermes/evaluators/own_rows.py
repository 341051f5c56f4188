"""Rows of files that anybody wrote, in the columns people use: brought to one form, or refused with all they lack.

A row becomes ``{id, images, question, answers, choices, category, group}``. Which columns that is read from stands in
docs/benchmarks.md, "Your own questions".
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from hermes.harness.contracts.benchmark import Row
from hermes.harness.contracts.fields import HIDDEN, label, nested, spelled
from hermes.harness.contracts.reader import gold_choice
from hermes.harness.data.files import file_rows
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.official.vlmevalkit import images_of
from hermes.harness.data.rows import BadRow
from hermes.harness.data.separated import TextCell
from hermes.harness.records.sources import is_path, unwrapped
from hermes.harness.system.errors import HermesError

IDS = ("id", "index", "question_id")
QUESTIONS = ("question", "prompt", "text")
ANSWERS = ("answers", "answer", "label")
CHOICES = ("choices", "options")
NUMBERED = re.compile(r"image_(\d+)")
OTHER_ANSWERS = ("question_id", "image_id", "index")  # By which answers from other harnesses name a row.


def own_rows(path: Path, shown: bool) -> Iterator[Row]:
    """The rows of a file, a `BadRow` for each that cannot be asked; ``shown`` False: images may be absent.

    Raises HermesError for a file of prompts to draw.
    """
    if path.is_dir():
        raise HermesError(f"{path} is a folder; give the file of rows in it")
    folder, root = path.parent, image_root()
    for number, row in enumerate(file_rows(path, keep_bad=True), 1):
        if isinstance(row, BadRow):
            yield BadRow(row.error, why=str(row.error))
            continue
        if "questions" in row and _first(row, ANSWERS) is None:
            raise _drawn(path, number, row)
        missing: list[str] = []
        images = [_placed(image, folder, root, missing if shown else []) for image in _images(row)]
        if shown and not images:
            missing.append("no image")
        question, answers, choices = _question(row, missing), _answers(row, missing), _choices(row, missing)
        if choices and answers:
            answers = _among(answers, choices, missing)
        if missing:
            why = f"{'; '.join(missing)} (it has {', '.join(map(str, row))})"
            yield BadRow(HermesError(f"{path}: row {number}: {why}"), why)
            continue
        named = _first(row, IDS)
        name = str(number if named is None else named)
        pictures = [image.name for image in images]
        yield {
            **{column: row[column] for column in OTHER_ANSWERS if column in row},
            "id": name,
            "images": [image.source for image in images] if shown else [],
            "question": question,
            "answers": answers,
            "choices": choices,
            "category": _text(row.get("category")),
            "group": "\n".join(pictures) if pictures and all(pictures) else name,
        }


class _Image(NamedTuple):
    """An image cell; ``name`` tells it from others: its path from the file's folder, or the index of the row it is of.

    "" where it has neither.
    """

    source: Any
    name: str


def _placed(cell: Any, folder: Path, root: Path | None, missing: list[str]) -> _Image:
    """The image, its path looked for beside the file and where images of annotation files lie."""
    source = unwrapped(cell)
    if not is_path(source):
        return _Image(source, source.owner if isinstance(source, TextCell) else "")
    name = os.path.relpath(source, folder)
    name = str(source) if name.startswith("..") else name
    found = str(source) if os.path.isfile(source) else image_path(name, folder, root)
    if not os.path.isfile(found):
        missing.append(f"the image {name} is not there")
    return _Image(found, name)


def _first(row: Row, columns: Sequence[str]) -> Any:
    """The first of the columns that holds something."""
    return next((row[column] for column in columns if not _is_empty(row.get(column))), None)


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, float) and cell != cell) or (isinstance(cell, list | dict) and not cell)


def _text(cell: Any) -> str:
    return "" if _is_empty(cell) else str(cell).strip()


def _drawn(path: Path, number: int, row: Row) -> HermesError:
    sides = "homologous-u,homologous-g" if _images(row) else "homologous-g"
    return HermesError(
        f"{path}: row {number} has questions about a picture that is to be drawn; such rows are homologous items: give "
        f"--tasks {sides} --data {path} --judge NAME"
    )


def _images(row: Row) -> list[Any]:
    """The images of a row, from whichever columns hold some, each by itself."""
    numbered = {int(found[1]): cell for name, cell in row.items() if (found := NUMBERED.fullmatch(str(name)))}
    cells = [
        *images_of({"image": row.get("image"), "image_path": _first(row, ("image_path", "img_path"))}),
        *images_of({"image": row.get("images")}),
        *(numbered[place] for place in sorted(numbered)),
    ]
    return [cell for cell in cells if not _is_empty(cell)]


def _question(row: Row, missing: list[str]) -> str:
    found = _first(row, QUESTIONS)
    if not isinstance(found, str):
        missing.append("no question" if found is None else f"the question is a {type(found).__name__}, not text")
        return ""
    hint = _text(row.get("hint"))
    return f"{hint}\n{found.strip()}" if hint else found.strip()


def _answers(row: Row, missing: list[str]) -> list[str]:
    """The accepted answers as text."""
    cell = nested(_first(row, ANSWERS))
    given = [label(_spelled(one)) for one in (cell if isinstance(cell, list | tuple) else [cell]) if not _is_empty(one)]
    strange = [one for one in given if not isinstance(one, str)]
    if strange:
        missing.append(f"the answer is a {type(strange[0]).__name__}, not text, a number or a list of these")
    elif not given:
        missing.append("no answer")
    elif hidden := [one for one in given if one.strip() in HIDDEN]:
        missing.append(f"the answer is hidden ({hidden[0].strip()!r})")
    return [str(one).strip() for one in given]


def _choices(row: Row, missing: list[str]) -> list[str]:
    """The options: a list in one column, or the columns A, B, ..."""
    cell = nested(_first(row, CHOICES))
    if cell is None:
        lettered = [letter for letter in ascii_uppercase if not _is_empty(row.get(letter))]
        if lettered != list(ascii_uppercase[: len(lettered)]):
            missing.append(f"no option {next(letter for letter in ascii_uppercase if letter not in lettered)}")
        cell = [row[letter] for letter in lettered]
    if not isinstance(cell, list | tuple):
        missing.append("the choices are no list")
        return []
    if len(cell) == 1 or len(cell) > len(ascii_uppercase):
        missing.append(f"{len(cell)} choices, where 2 to {len(ascii_uppercase)} belong")
    return [str(_spelled(one)).strip() for one in cell]


def _spelled(cell: Any) -> Any:
    """A number as text; whole ones, which tables often hold as 3.0, without a fraction."""
    return spelled(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


def _among(answers: Sequence[str], choices: Sequence[str], missing: list[str]) -> list[str]:
    """The choices that the answers mean."""
    places = [gold_choice(answer, choices) for answer in answers]
    for answer, place in zip(answers, places, strict=True):
        if place is None:
            missing.append(f"the answer {answer!r} is none of the choices, nor the letter of one")
    return [choices[place] for place in places if place is not None]
