"""POPE's question files, and LLaVA's list of the same questions.

- AoiDragon/POPE, output/coco/: ``coco_pope_<sampling>.json``, JSON lines of question_id, image, text, label.
- LLaVA, eval/pope/: ``llava_pope_test.jsonl`` with question_id (over all samplings), image, text and category, whose
  labels are in POPE's files, in ``coco/`` beside it. LLaVA's answers are known by its own question_id.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import READERS
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_value

FILE = re.compile(r".*pope_(random|popular|adversarial)\.jsonl?")
COLUMNS = {"question_id", "image", "text", "label"}
LLAVA, LLAVA_COLUMNS = "llava_pope_test.jsonl", {"question_id", "image", "text", "category"}
IMAGES = "val2014"
LINE = 1 << 20  # Bytes in which a first row must end.


def pope_rows(source: Path) -> Rows | None:
    """The rows of a file, or of a folder's files in the order random, popular, adversarial; None for other files."""
    listed = source if source.is_file() else source / LLAVA
    if listed.name == LLAVA and _first(listed).keys() >= LLAVA_COLUMNS:
        homes = (listed.parent, listed.parent / "coco")
        files = next((found for home in homes if (found := _files(home))), [])
        if not files:
            raise HermesError(f"{listed} has no labels; put POPE's coco_pope_*.json beside it, or in coco/")
        return Rows(partial(_listed_rows, listed, files))
    files = _files(source)
    return Rows(partial(_rows, files)) if files else None


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.glob("*pope_*.json*"), reverse=True)
    return [file for file in files if FILE.fullmatch(file.name) and file.is_file() and _first(file).keys() >= COLUMNS]


def _first(path: Path) -> dict[str, Any]:
    """The first object of a file of lines; an empty one where there is none."""
    try:
        with path.open("rb") as file:
            first = json_value(file.readline(LINE))
    except (OSError, ValueError):
        return {}
    return first if isinstance(first, dict) else {}


def _rows(files: list[Path]) -> Iterator[Row]:
    for path in files:
        sampling = path.stem.rpartition("_")[2]
        for row in READERS[".jsonl"](path):
            yield row if isinstance(row, BadRow) else _row(row, sampling, path)


def _row(row: Row, sampling: str, file: Path) -> Row:
    image = Path(str(row.get("image")))
    return {
        **{key: value for key, value in row.items() if key not in ("text", "label")},
        **{"question": row.get("text"), "answer": row.get("label"), "category": sampling},
        **{"id": f"{sampling}/{row.get('question_id')}", "image_source": image.stem, "image": _found(image, file)},
    }


def _found(image: Path, file: Path) -> str:
    """The image where it lies: beside the file or in val2014/, there or in the folders above."""
    places = (f"{IMAGES}/{image.name}", image.name)
    found = (image_path(place, file.parent, image_root()) for place in places)
    return str(image) if image.is_file() else next((path for path in found if Path(path).is_file()), str(image))


def _listed_rows(listed: Path, files: list[Path]) -> Iterator[Row]:
    """POPE's rows in the order and with the ids of LLaVA's list."""
    labelled = {_key(row): row for row in _rows(files) if not isinstance(row, BadRow)}
    for number, row in enumerate(READERS[".jsonl"](listed), 1):
        question = str(row.get("text")).partition("\n")[0]
        found = labelled.get(_key({**row, "question": question}))
        if isinstance(row, BadRow):
            yield row
        elif found is None:
            yield BadRow(
                HermesError(f"{listed}: row {number} is in none of POPE's files; give those of the same commit")
            )
        else:
            yield {**found, "id": str(row.get("question_id"))}


def _key(row: Row) -> tuple[str, ...]:
    return str(row.get("category")), Path(str(row.get("image"))).name, str(row.get("question")).strip()
