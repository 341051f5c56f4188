"""Unison's own files (FudanCVL/Unison, Internal_Consistency): a prompt a line, questions by its number, and pictures.

``prompts.txt`` is counted from 0, blank lines included, as the program that draws counts it; ``questions.json`` has
``{"questions": {"prompt_<N>": {"1": text, ...}}}``, and ``images/<N + 1>.png`` or ``.jpg`` is the reference.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import parse_json
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.system.errors import HermesError

HOME, PROMPTS, QUESTIONS = "Internal_Consistency", "prompts.txt", "questions.json"
SUFFIXES = (".png", ".jpg", ".jpeg")


def unison_rows(source: Path) -> Rows | None:
    """The rows of a folder with such files, or of the folder above; None where there are none."""
    for home in (source / HOME, source):
        if (home / PROMPTS).is_file() and (home / QUESTIONS).is_file():
            return Rows(partial(_rows, home), ungrouped=True)
    return None


def _rows(home: Path) -> Iterator[Row]:
    questions = _questions(home / QUESTIONS)
    for number, line in enumerate((home / PROMPTS).read_text(encoding="utf-8-sig").splitlines()):
        if not line.strip():
            continue
        asked = questions.get(f"prompt_{number}")
        if not asked:
            what = f"{home / QUESTIONS} has no questions under prompt_{number}, which {PROMPTS} has"
            yield BadRow(HermesError(f"{what}; give the files that belong together"))
            continue
        pictures = (home / "images" / f"{number + 1}{suffix}" for suffix in SUFFIXES)
        image = next((str(path) for path in pictures if path.is_file()), None)
        yield {"id": str(number), "prompt": line.strip(), "image": image, "questions": asked}


def _questions(path: Path) -> dict[str, dict[str, str]]:
    try:
        found = parse_json(path.read_bytes())["questions"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise HermesError(f'{path} is not {{"questions": {{"prompt_0": {{"1": text}}}}}}; give the published file')
    return found
