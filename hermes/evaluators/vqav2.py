"""VQAv2: open questions about COCO images, each answered by ten people; an answer counts by how many gave it.

Paper: Goyal et al. 2017, "Making the V in VQA Matter" (arXiv:1612.00837). Licence: CC BY 4.0 (questions, answers).
Data: lmms-lab/VQAv2, split validation, 214,354 questions. Papers report test-dev, whose answers only the server has.
Prompt: the question, then the short-answer line.

Protocols
- ``official`` (GT-Vision-Lab/VQA vqaEval.py): for each of the ten people, min(1, matches among the other nine / 3);
  the mean of the ten. "The other" means another annotation as a whole, answer_id included: without ids people who agree
  in answer and confidence count as one. White space is cleaned always, but punctuation, case, number words, articles
  and contractions only if the ten answers are not all alike: where they are, 'Stop' does not match ten times 'stop'.
  The script prints two decimals.
- ``lmms-eval``: the same count, but the answer and the people's answers are normalised always.

The normaliser keeps the original's slips: a '.' not followed by a digit is deleted, at most 32 of them; one comma
between digits makes all punctuation vanish instead of becoming a space (lmms-eval: also several commas); "none" is 0.

Chance is 0: answers are free text. Always saying "yes" scores about a quarter, but that is knowledge of the data.
An answer that is empty once normalised is marked unparsed and counts as the protocol says.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from sys import intern
from typing import ClassVar

from hermes.evaluators.vqa_people import accuracy, annotation_numbers, in_turn_sum
from hermes.evaluators.vqa_text import clean, normalise
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.fields import HIDDEN, people, text
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.data.files import named
from hermes.harness.data.official.vqa import vqa_rows
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

TYPES = ("answer_type", "question_type")


class VQAv2(Evaluator):
    """Metrics in percent: accuracy, that of the answer types yes/no, number, other, and ``question_type/<words>``."""

    name = "vqav2"
    version = "2"
    title = "VQAv2"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/VQAv2",
        split="validation",
        n=214354,
        columns=("question_id", "image_id", "question", "question_type", "answer_type", "answers", "image"),
        scored=("answers", "answer_type"),
        cells={"answers": people},
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols: ClassVar[tuple[str, ...]] = ("official", "lmms-eval")

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return None if named(self.name, source) else vqa_rows(source, self.data.columns, self.data.split)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"vqav2 question {row['question_id']}"
            if not isinstance(row["answers"] or [], list | tuple):
                raise HermesError(f"{where}: answers must be a list, not {type(row['answers']).__name__}; fix the row")
            said = [text(one, "answer", where) for one in row["answers"] or ()]
            if all(one.strip() in HIDDEN for one in said):
                raise HermesError(f"{where}: there are no answers; use a split that has them")
            yield Sample(
                id=str(row["question_id"]),
                group_id=str(row["image_id"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target={
                    "answers": tuple(intern(clean(one)) for one in said),
                    "annotations": annotation_numbers(row["answers"]),
                },
                metadata={key: intern(str(row[key])) for key in TYPES if row.get(key)},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, said = answer.sample, clean(answer.response.text or "")
        answers: Sequence[str] = sample.target["answers"]
        if protocol == "lmms-eval" or len(set(answers)) > 1:
            answers = [normalise(one, protocol) for one in answers]
            said = normalise(said, protocol)
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"accuracy": accuracy(said, answers, sample.target["annotations"])},
            prediction=said,
            reason="" if said else "the answer is empty",
            status="scored" if said else "unparsed",
            tags=sample.metadata,
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, ("accuracy",), TYPES)
        metrics = {"accuracy": _mean(scores)} if len(scores) else {}
        metrics |= {name: _mean(part) for name, part in scores.by_tag("answer_type")}
        return metrics | {f"question_type/{name}": _mean(part) for name, part in scores.by_tag("question_type")}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means | None:
        return columns_of(scores, ("accuracy",)).pooled("accuracy", 100)


def _mean(scores: Columns) -> Metric:
    """The mean in percent, in the official script's order of operations: its two decimals may hang on the last bit."""
    total = 100 * in_turn_sum(scores.values["accuracy"].tolist())
    return scores.pooled("accuracy", 100).metric().model_copy(update={"value": total / len(scores)})
