"""Rows without what scoring does not need, and with their own ids, to samples."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.data.answers import Answers, Given, as_id
from hermes.harness.data.rows import checked
from hermes.harness.data.tables import Data, held_data, open_table
from hermes.harness.records.images import no_image
from hermes.harness.records.types import Sample
from hermes.harness.system.errors import HermesError

IMAGE = re.compile(r"image(_\d+)?")
NAMES = ("id", "question_id", "image_id", "imageId", "img_id", "image_source", "text", "prompt")
FROM_FILES = "answers from files"


@dataclass
class ScoredRows:
    """The samples that stored answers are scored against, without images, and the names that answers may call them."""

    data: Data
    own_ids: tuple[str, ...]

    def matched(self, answers: Answers) -> dict[str, str]:
        """Each answer's id to its sample's.

        All ids are those of the rows, or all are the evaluator's own, or, in lmms-eval's samples, all are the rows'
        numbers from 0. Raises HermesError that names the first that is none.
        """
        samples = [sample.id for sample in self.data.samples]
        namings = [{name: name for name in samples}]
        if len(set(self.own_ids)) == len(samples):
            namings.append(dict(zip(self.own_ids, samples, strict=True)))
        if answers.numbered:
            namings.append({str(number): name for number, name in enumerate(samples)})
        for names in namings:
            if all(answer.id in names for answer in answers.given):
                return names
        stranger = _best_known(answers.given, namings)
        raise HermesError(
            f"{stranger.where}: no row has the id {stranger.id!r}; the ids are such as {', '.join(samples[:3])}"
        )


def _best_known(given: list[Given], namings: list[dict[str, str]]) -> Given:
    """The first answer that the naming which knows the most answers does not know."""
    names = max(namings, key=lambda names: sum(answer.id in names for answer in given))
    return next(answer for answer in given if answer.id not in names)


@dataclass
class _Filled:
    """The rows with ``images`` for theirs and absent columns filled; ``ids`` are those that they bring."""

    rows: Iterator[Row]
    optional: Sequence[str]
    images: Mapping[str, Any]
    where: str
    ids: list[str] = field(default_factory=list)
    count: int = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            if row.get("id") is not None:
                self.ids.append(as_id(row["id"], f"{self.where}: row {self.count + 1}"))
            name = self.ids[-1] if row.get("id") is not None else str(self.count)
            self.count += 1
            absent = {column: _stand_in(column, name) for column in self.optional if row.get(column) is None}
            yield _plain({**row, **absent, **self.images})


def scored_rows(evaluator: Evaluator, source: str) -> ScoredRows:
    """The samples of a file or folder of rows that need only hold the columns without which answers cannot be scored.

    Where each row gives one sample and has an ``id``, the sample takes it; else the evaluator's ids stand. Raises
    HermesError for missing columns, doubled ids and bad rows.
    """
    table = open_table(evaluator, source, "test")
    needed = evaluator.data.scored or evaluator.data.columns
    optional = [column for column in evaluator.data.columns if column not in needed]
    images = {column: None if column[-1].isdigit() else no_image for column in optional if IMAGE.fullmatch(column)}
    filled = _Filled(checked(table.rows, needed, table.where), optional, images, table.where)
    samples = list(evaluator.samples(filled))
    if not samples:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a file or folder with its rows")
    own_ids = tuple(sample.id for sample in samples)
    names = filled.ids if len(filled.ids) == filled.count == len(samples) else own_ids
    samples = [_named(sample, name) for sample, name in zip(samples, names, strict=True)]
    data = held_data(evaluator, table, samples)
    info = data.info.model_copy(update={"source": f"{data.info.source}, {FROM_FILES}"})
    return ScoredRows(replace(data, info=info), own_ids)


def _stand_in(column: str, name: str) -> Any:
    """What scoring does not look at: the row's name where rows are told apart by the column, or nothing."""
    return True if column == "isBalanced" else name if column in NAMES else ""


def _plain(row: dict[str, Any]) -> Row:
    """The row with the values that others write brought to the data set's.

    Numbers become text where they are answers or options, a CSV's True or False a truth, and plain answers of several
    people the records of as many.
    """
    answer, options, people = row.get("answer"), row.get("options"), row.get("answers")
    if isinstance(row.get("isBalanced"), str):
        row["isBalanced"] = row["isBalanced"].strip().lower() in ("true", "1")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        row["answer"] = str(answer)
    if isinstance(options, list):
        row["options"] = [str(option) for option in options]
    if isinstance(people, list) and people and all(isinstance(said, str) for said in people):
        row["answers"] = [{"answer": said, "answer_id": number} for number, said in enumerate(people, 1)]
    return row


def _named(sample: Sample, name: str) -> Sample:
    """The sample without images under the name."""
    return Sample.model_construct(**{**sample.__dict__, "id": name, "images": ()})
