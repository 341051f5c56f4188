"""Cycles: a picture is described, the description drawn, and so on; which facts does each drawing still show?

- ``cycle-image``: picture -> caption -> picture -> ...; ``cycle-text``: caption -> picture -> caption -> ...
Six generations, counted from what the model says or draws first; ``cycle-image:20`` has twenty. Captions are asked for
in the words "Provide a one-sentence caption for the provided image.", greedily, drawings by the caption alone.

Data: homologous items, ``{id, image, caption, questions}`` (evaluators/homologous.py). The judge answers an item's
questions about every picture of its chain, read as those of homologous-g. Drift under encoders (the telephone game) is
that of the same chains: evaluators/drift.py.

Metrics, 0..1: ``kept``, the share of questions that are right about the last picture; ``generation/<k>`` of each
picture's generation; ``slope``, the mean over items of the least squares slope of that share, per generation. A chain
that has ended (a step failed, or a description without words) is an error from there on, so each number is over the
chains that are alive, and ``n`` says how many these are.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hermes.evaluators.homologous import CELLS
from hermes.evaluators.homologous_replies import Asked, read_all
from hermes.harness.contracts.benchmark import Answer, DataSpec, Row, Scored
from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.fields import text
from hermes.harness.contracts.judge import Judge, word_for_word
from hermes.harness.contracts.judged import read_answer_list
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.records import read_questions
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import DIFFERENCE, Means, mean_metric
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split

FACTS, LAST, GENERATION = "facts", "last", "generation"
GENERATIONS = 6
PICTURED = ("id", "image")
TOLD = ("id", "caption")


def pictured(row: Row, where: str, **more: Any) -> Sample:
    """A chain that begins with a row's picture."""
    item = str(row["id"])
    image = image_handle(row["image"], where)
    return Sample(
        id=item,
        group_id=item,
        ability="generation",
        prompt=row.get("instruction", ONE_SENTENCE),
        images=(image,),
        **more,
    )


def told(row: Row, where: str, **more: Any) -> Sample:
    """A chain that begins with a row's caption."""
    item = str(row["id"])
    return Sample(id=item, group_id=item, ability="generation", prompt=text(row, "caption", where), **more)


class Cycle(Chained):
    """The facts that survive."""

    version = "1"
    config = GenerationConfig(num_images=GENERATIONS)
    headline = "kept"
    unit = "0..1"
    best = 1.0
    chance = best  # nobody knows what is reached at best, so it is in no mean over benchmarks
    judge_needs = "answer"
    standard = False

    def local_rows(self, source: Path, split: Split) -> Iterable[Row]:
        return homologous_rows(source, self.name, split, self.held_out)

    @abstractmethod
    def begun(self, row: Row, where: str, questions: list[dict[str, Any]]) -> Sample:
        """The chain of a row, whose target is the questions."""

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"{self.name} item {row['id']}"
            yield self.begun(row, where, [qa.row() for qa in read_questions(row["questions"], where)])

    def judged(self, sample: Sample) -> list[str]:
        return [qa["question"] for qa in sample.target]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": [one a question]}`` for each picture; nothing is asked about a caption."""
        asked = [self.judged(answer.sample) if answer.image else [] for answer in answers]
        opened = [answer.image.open() if answer.image else None for answer in answers]
        images = [image for image, batch in zip(opened, asked, strict=True) for _ in batch if image]
        said = iter(word_for_word(judge, images, [question for batch in asked for question in batch]))
        return [{"answers": list(islice(said, len(batch)))} if batch else {} for batch in asked]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        return read_answer_list(data, len(sample.target)) if data else {}

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, replies = answer.sample, (answer.judgement or {}).get("answers", [])
        asked = [
            Asked(reply, qa["answer"], qa.get("choices", ())) for qa, reply in zip(sample.target, replies, strict=False)
        ]
        said = read_all(asked, protocol)
        unread = sum(not one for one in said)
        return scored(
            self,
            answer,
            {FACTS: sum(one.right(read) for one, read in zip(asked, said, strict=True)) / len(asked)} if asked else {},
            said or None,
            f"{unread} of {len(said)} replies of the judge cannot be read" if unread else "",
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, (FACTS, GENERATION), (LAST, GENERATION))
        kept = {self.headline: _last(scores).metric()}
        return kept | by_generation(scores, FACTS) | slope(scores, FACTS, "slope")

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return _last(columns_of(scores, (FACTS,), (LAST,)))


class CycleImage(Cycle):
    """Metrics, 0..1: kept, generation/2, generation/4, ..., slope."""

    name = "cycle-image"
    title = "Cycle, picture first"
    begins = "understanding"
    data = DataSpec(
        hub="", split="test", n=0, columns=(*PICTURED, "questions"), scored=("id", "questions"), cells=CELLS
    )

    def begun(self, row: Row, where: str, questions: list[dict[str, Any]]) -> Sample:
        return pictured(row, where, target=questions)


class CycleText(Cycle):
    """Metrics, 0..1: kept, generation/1, generation/3, ..., slope."""

    name = "cycle-text"
    title = "Cycle, caption first"
    begins = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=(*TOLD, "questions"), scored=("id", "questions"), cells=CELLS)

    def begun(self, row: Row, where: str, questions: list[dict[str, Any]]) -> Sample:
        return told(row, where, target=questions)


def scored(
    evaluator: Chained, answer: Answer, values: dict[str, float], said: Any, reason: str = "", **tags: str
) -> Score:
    """The score of one generation; its number is a value and a tag, and that of the last of its kind is marked."""
    index = answer.response.index
    last = index + 2 >= evaluator.config.num_images
    return Score(
        sample_id=answer.sample.id,
        index=index,
        group_id=answer.sample.group_id,
        values={**values, GENERATION: float(index + 1)} if values else {},
        prediction=said,
        reason=reason,
        status="unparsed" if reason else "scored",
        tags={GENERATION: str(index + 1), **({LAST: "yes"} if last and values else {}), **tags} if values else {},
    )


def _last(scores: Columns) -> Means:
    """The mean over items of what the last picture keeps."""
    return scores.take(np.flatnonzero(scores.tags[LAST] >= 0)).grouped(FACTS)


def by_generation(scores: Columns, value: str) -> dict[str, Metric]:
    """The mean of a value at each generation, in order."""
    found = scores.means(value, GENERATION)
    return {f"{GENERATION}/{name}": found[name] for name in sorted(found, key=int)}


def slope(scores: Columns, value: str, name: str, first: int | None = None) -> dict[str, Metric]:
    """The mean over items of a value's least squares slope per generation, over the first ones or all.

    The interval is over items. Items with one generation alone have no slope; {} where none has any.
    """
    curves: dict[int, list[tuple[float, float]]] = defaultdict(list)
    columns = (scores.groups.tolist(), scores.values[GENERATION].tolist(), scores.values[value].tolist())
    for group, generation, found in zip(*columns, strict=True):
        if found == found and (first is None or generation <= first):
            curves[group].append((generation, found))
    slopes = {group: _slope(curve) for group, curve in curves.items() if len(curve) > 1}
    if not slopes:
        return {}
    return {name: mean_metric(list(slopes.values()), np.array(list(slopes), dtype=np.int64), bounds=DIFFERENCE)}


def _slope(curve: Sequence[tuple[float, float]]) -> float:
    x, y = np.array(curve).T
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())
