"""TIFA's own files (Yushi-Hu/tifa): a row a question in *question_answers.json, the captions in *text_inputs.json.

The images that its script scores are named by imgs.json, which is a file of answers (answer_lines.py).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import file_rows
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.system.errors import HermesError

QUESTIONS, CAPTIONS = "*question_answers.json", "*text_inputs.json"


def tifa_rows(source: Path) -> Rows | None:
    """The rows of a folder with such files; None where there are none. Raises HermesError where there are several."""
    questions = sorted(source.glob(QUESTIONS)) if source.is_dir() else []
    if len(questions) > 1:
        names = ", ".join(path.name for path in questions)
        raise HermesError(f"{source} holds several files of questions ({names}); give the one to be read")
    captions = sorted(source.glob(CAPTIONS)) if questions else []
    return Rows(partial(_rows, questions[0], captions[:1])) if questions else None


def _rows(questions: Path, captions: list[Path]) -> Iterator[Row]:
    """The questions, with the captions of the other file where they have none. A caption that differs is a bad row."""
    told = {str(row.get("id")): row.get("caption") for path in captions for row in file_rows(path)}
    for row in file_rows(questions, keep_bad=True):
        caption = told.get(str(row.get("id")))
        if isinstance(row, BadRow) or caption is None:
            yield row
        elif row.get("caption", caption) != caption:
            what = f"the caption of {row.get('id')!r} is another one in {captions[0].name}"
            yield BadRow(HermesError(f"{questions}: {what}; give the files that belong together"))
        else:
            yield {**row, "caption": caption}
