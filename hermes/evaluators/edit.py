"""Editing: a picture and an instruction in, a picture out; a judge says if the change is there and all else is kept.

Ours; no paper prints it. Data: rows ``{id, image, instruction, questions: [{question, answer, kind}]}`` from a file or
folder (--data); ``kind`` is "changed" for what the instruction asks for and "kept" for what it leaves alone. The judge
answers all questions about the new picture, and is never shown the old one. In the drawn world it is the oracle.
Prompt: the instruction, nothing added; the picture before it. Only models that can edit are asked.

Metrics, 0..1, over pictures: ``done``, the headline, is the share of which every question is answered as expected;
``changed`` and ``kept`` are the mean shares of their questions. A picture that comes back as it was has ``kept`` 1 and
``done`` 0, another one that is drawn from the instruction alone mostly the reverse. Replies are read as those of
homologous-g (harness/contracts/reader.py); one that cannot be read is not as expected, and its picture unparsed.
Chance is given as 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from hermes.evaluators.homologous import CELLS, Generation
from hermes.evaluators.homologous_replies import Asked
from hermes.harness.contracts.benchmark import Answer, DataSpec, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.fields import text
from hermes.harness.data.homologous.records import read_questions
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

KINDS = ("changed", "kept")


class Edit(Generation):
    """Pictures that are changed as an instruction says, judged by questions."""

    name = "edit"
    version = "1"
    title = "Editing"
    data = DataSpec(hub="", split="test", n=0, columns=("id", "image", "instruction", "questions"), cells=CELLS)
    headline = "done"
    standard = False
    divides = False
    edits = True

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return None

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a picture; the target is its questions."""
        for row in rows:
            item, where = str(row["id"]), f"edit item {row['id']}"
            asked = read_questions(row["questions"], where)
            if strange := next((qa.kind for qa in asked if qa.kind not in KINDS), None):
                raise HermesError(f"{where}: a question has the kind {strange!r}; it must be {' or '.join(KINDS)}")
            if not any(qa.kind == "changed" for qa in asked):
                raise HermesError(f"{where}: no question has the kind 'changed'; ask for the change")
            yield Sample(
                id=item,
                group_id=item,
                ability=self.ability,
                prompt=text(row, "instruction", where),
                images=(image_handle(row["image"], where),),
                target=[qa.row() for qa in asked],
                metadata={"category": str(row["category"])} if row.get("category") else {},
            )

    def score_read(self, answer: Answer, asked: Sequence[Asked], said: Sequence[str]) -> Score:
        found: dict[str, list[float]] = defaultdict(list)
        for qa, one, read in zip(answer.sample.target, asked, said, strict=True):
            found[qa["kind"]].append(float(one.right(read)))
        shares = {kind: sum(right) / len(right) for kind, right in found.items()}
        score = super().score_read(answer, asked, said)
        values = {"done": float(all(chain(*found.values()))), **shares}
        return score.model_copy(update={"values": values, "tags": score.tags | answer.sample.metadata})

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        columns = collect(scored, ("done", *KINDS), ("category",))
        found = {name: columns.grouped(name).metric() for name in ("done", "changed")}
        kept = columns.take(np.flatnonzero(~np.isnan(columns.values["kept"])))
        found |= {"kept": kept.grouped("kept").metric()} if len(kept) else {}
        return found | columns.means("done", "category", prefix="category/")

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("done",)).grouped("done")
