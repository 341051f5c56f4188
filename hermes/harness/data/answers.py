"""Answers from files: lines, lists and tables of them, or the official layouts as they are."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hermes.harness.data.answer_lines import LINE, answer_key, entries, given, shown
from hermes.harness.data.cuts import Cutting
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.folders import folder_answers
from hermes.harness.data.geneval import holds_results, result_answers
from hermes.harness.data.given import Given
from hermes.harness.data.lmms_samples import read_samples
from hermes.harness.data.official.gapeval import holds_verdicts, verdict_answers
from hermes.harness.records.types import Ability
from hermes.harness.system.errors import HermesError


@dataclass(frozen=True)
class Answers:
    """All answers, and the name of the ``key`` that says which row each belongs to: "doc_id" is the row's number.

    ``cut`` says how the files of a folder of images were cut.
    """

    given: list[Given]
    key: str = "id"
    cut: str = ""

    @property
    def num_images(self) -> int:
        """How many answers a sample has: the highest index and one."""
        return 1 + max(answer.index for answer in self.given)


def read_answers(path: Path, known: Collection[str], cutting: Cutting, ability: Ability) -> Answers:
    """The answers of a file or folder; ``known`` are the ids of the rows, ``cutting`` says how files of images are cut.

    Takes responses.jsonl, the forms of answer_lines.py, an lmms-eval samples file, GenEval's results.jsonl, GapEval's
    verdicts and folders of images. Raises HermesError that names the line for anything else, and where one (id, index)
    stands twice.
    """
    found = _read(path, known, cutting, ability)
    if not found.given:
        raise HermesError(f"{path} holds no answers; write one a line: {LINE}")
    ids = Doubles()
    for answer in found.given:
        ids.add(answer.key)
    for key in ids.every(lambda: (answer.key for answer in found.given)):
        refuse_double(*[answer for answer in found.given if answer.key == key][:2])
    return found


def refuse_double(first: Given, answer: Given) -> None:
    """Raise HermesError for two answers in one place."""
    again = f"{answer.where} answers id {shown(answer.id)}, index {answer.index} again (first in {first.where})"
    raise HermesError(f"{again}; keep one")


def _read(path: Path, known: Collection[str], cutting: Cutting, ability: Ability) -> Answers:
    if path.is_dir():
        images, cut = folder_answers(path, known, cutting)
        return Answers(images, cut=cut)
    if not path.is_file():
        raise HermesError(f"{path} does not exist; give a file or folder of answers")
    if holds_verdicts(path):
        return Answers(list(verdict_answers(path)))
    if holds_results(path):
        return Answers(list(result_answers(path)))
    key = next((answer_key(entry) for _, entry in entries(path, ability)), "")
    if key == "doc_id":
        return Answers(list(read_samples(path)), key)
    return Answers([given(entry, where, path) for where, entry in entries(path, ability)], key)
