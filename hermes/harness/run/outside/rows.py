"""Rows without what scoring does not need, and with their own ids, to samples."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.data.answer_lines import as_id
from hermes.harness.data.fingerprint import Prints
from hermes.harness.data.rows import checked, samples_of
from hermes.harness.data.tables import Data, held_data, open_table
from hermes.harness.records.images import no_image
from hermes.harness.records.types import Sample
from hermes.harness.system.errors import HermesError

IMAGE = re.compile(r"image(_\d+)?")
NAMES = ("id", "question_id", "image_id", "imageId", "img_id", "image_source", "text", "prompt")
NAMING = ("question_id", "image_id", "index")  # By which the answers of other harnesses name a row.
FROM_FILES = "answers from files"
BALANCED = "isBalanced"  # GQA: scored only where it is true


@dataclass
class ScoredRows:
    """The samples that stored answers are scored against, without images, and the names that answers may call them.

    ``own_ids`` are the evaluator's; ``columns`` are those of the rows that answers may name a row by.
    """

    data: Data
    own_ids: tuple[str, ...]
    columns: Mapping[str, Sequence[str]]

    @property
    def known(self) -> set[str]:
        """All names that a sample has."""
        return {*self.own_ids, *(sample.id for sample in self.data.samples)}


@dataclass
class _Filled:
    """The rows with ``images`` for theirs and absent columns filled; ``ids`` are those that they bring."""

    rows: Iterator[Row]
    optional: Sequence[str]
    images: Mapping[str, Any]
    where: str
    ids: list[str] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=lambda: {column: [] for column in NAMING})
    count: int = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            if row.get("id") is not None:
                self.ids.append(as_id(row["id"], f"{self.where}: row {self.count + 1}"))
            name = self.ids[-1] if row.get("id") is not None else str(self.count)
            self.count += 1
            for column, names in self.columns.items():
                if row.get(column) is not None:
                    names.append(str(row[column]))
            absent = {column: _stand_in(column, name) for column in self.optional if _lacks(row, column)}
            yield {**row, **absent, **self.images}


def scored_rows(evaluator: Evaluator, source: str) -> ScoredRows:
    """The samples of a file or folder of rows that need only hold the columns without which answers cannot be scored.

    Where each row gives one sample and has an ``id``, the sample takes it; else the evaluator's ids stand. Raises
    HermesError for missing columns, doubled ids and bad rows.
    """
    evaluator.shown = False
    table = open_table(evaluator, source, "test")
    needed = evaluator.data.scored or evaluator.data.columns
    optional = [column for column in evaluator.data.columns if column not in needed]
    images = {column: None if column[-1].isdigit() else no_image for column in optional if IMAGE.fullmatch(column)}
    filled = _Filled(checked(table.rows, evaluator.data, needed, table.where), optional, images, table.where)
    samples = list(samples_of(evaluator, filled, table.where))
    if not samples:
        raise HermesError(f"{table.where}: no rows for {evaluator.name}; give a file or folder with its rows")
    own_ids = tuple(sample.id for sample in samples)
    names = filled.ids if len(filled.ids) == filled.count == len(samples) else own_ids
    named = [_named(sample, name) for sample, name in zip(samples, names, strict=True)]
    data = held_data(evaluator, table, named)
    scored = Prints(held=True)
    for sample in samples:
        scored.add(sample.model_copy(update={"images": ()}))
    told = {"source": f"{data.info.source}, {FROM_FILES}", "fingerprint": scored.rows(), "rows": scored.rows()}
    info = data.info.model_copy(update=told)
    columns = {column: found for column, found in filled.columns.items() if len(found) == filled.count == len(samples)}
    return ScoredRows(replace(data, info=info), own_ids, columns)


def _lacks(row: Row, column: str) -> bool:
    """Whether something is to stand in for a cell; an empty isBalanced is for the benchmark to refuse."""
    return column not in row or (row[column] is None and column != BALANCED)


def _stand_in(column: str, name: str) -> Any:
    """What scoring does not look at: the row's name where rows are told apart by the column, or nothing."""
    return True if column == BALANCED else name if column in NAMES else ""


def _named(sample: Sample, name: str) -> Sample:
    """The sample without images under the name."""
    return Sample.model_construct(**{**sample.__dict__, "id": name, "images": ()})
