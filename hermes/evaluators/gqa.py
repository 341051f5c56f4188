"""GQA: compositional questions made from scene graphs; one word or phrase, exactly the answer or not.

Paper: Hudson and Manning 2019, "GQA: A New Dataset for Real-World Visual Reasoning" (arXiv:1902.09506).
Licence: CC BY 4.0 (questions).
Data: lmms-lab/GQA, testdev_balanced_instructions joined by imageId with testdev_balanced_images: 12,578 questions.
Prompt: the question, then the short-answer line.

Protocols
- ``official`` (GQA eval.py): the answer must equal the gold byte for byte, nothing is normalised; only questions with
  ``isBalanced`` count. ``binary`` is every structural type but query, ``open`` is query. ``steps/<n>`` counts the
  operations of the question's program, less those that merely end it; ``words/<n>`` its words. ``distribution`` is the
  chi-square distance between the answers given and the gold ones within each global group, over 100: lower is better.
  Validity and plausibility need a file of choices that testdev lacks (the script prints 0); they are left out, and so
  is consistency, which needs the entailed questions. The script prints two decimals.
- ``llava`` (LLaVA convert_gqa_for_eval.py, then the official script): trailing periods go, the rest in lower case;
  spaces and other punctuation stay. This is the number that papers with LLaVA-like models print.
- ``lmms-eval``: stripped, lower case, ASCII punctuation deleted on both sides; all rows count, balanced or not.

Chance is 0: answers are free text, and the majority answer of a question type is knowledge of the data, not guessing.
An empty answer is marked unparsed and counts as wrong.
"""

import string
from collections.abc import Iterable, Iterator
from pathlib import Path

from hermes.evaluators.gqa_kinds import KINDS, Distribution, tags
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Join, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.fields import flag, gold, nested, spelled, text
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.data.files import named
from hermes.harness.data.official.gqa import gqa_rows
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

UNBALANCED = "unbalanced"  # The tag of questions that only lmms-eval counts.
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(reply: str) -> str:
    """lmms-eval's exact_match: lower case, no ASCII punctuation.

    It does this in numpy arrays, which drop NULs at the end and cut a text that lower case makes longer ("\u0130").
    """
    return reply.rstrip("\0").lower()[: len(reply)].translate(NO_PUNCTUATION).rstrip("\0")


def read(reply: str, protocol: str) -> str:
    """What the protocol compares."""
    if protocol == "lmms-eval":
        return plain(reply.strip())
    return reply.rstrip(".").lower() if protocol == "llava" else reply


def _balanced(row: Row, where: str) -> bool:
    if row["isBalanced"] not in (True, False):
        raise HermesError(f"{where}: isBalanced is {str(row['isBalanced'])[:40]!r}, not true or false; fix the row")
    return bool(row["isBalanced"])


class GQA(Evaluator):
    """Metrics in percent: accuracy, binary, open, and by kind, as far as the rows have the columns for it."""

    name = "gqa"
    version = "2"
    title = "GQA"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/GQA",
        config="testdev_balanced_instructions",
        split="testdev",
        join=Join(config="testdev_balanced_images", key="imageId", id="id", column="image"),
        n=12578,
        columns=("id", "imageId", "question", "answer", "fullAnswer", "isBalanced", "image"),
        scored=("answer",),
        cells={"isBalanced": flag, "answer": spelled, "types": nested, "groups": nested, "semantic": nested},
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = ("official", "lmms-eval", "llava")

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return None if named(self.name, source) else gqa_rows(source)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"gqa question {row['id']}"
            yield Sample(
                id=str(row["id"]),
                group_id=str(row["imageId"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target=gold(row, "answer", where),
                metadata={"balanced": _balanced(row, where), "tags": tags(row, where)},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        said = read(answer.response.text or "", protocol)
        gold = plain(sample.target) if protocol == "lmms-eval" else sample.target
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": said == gold},
            prediction=said,
            reason="" if said.strip() else "the answer is empty",
            status="scored" if said.strip() else "unparsed",
            tags=sample.metadata["tags"] | ({} if sample.metadata["balanced"] else {UNBALANCED: "yes"}),
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        answers = Distribution()

        def counted() -> Iterator[Scored]:
            for sample, score in scored:
                if _counts(score, protocol):
                    if "group" in score.tags:
                        answers.add(score.tags["group"], sample.target, score.prediction)
                    yield sample, score

        scores = collect(counted(), ("correct",), ("form", *KINDS))
        if not len(scores):
            return {}
        metrics = {"accuracy": scores.pooled("correct", 100).metric()} | scores.means("correct", "form", 100)
        for kind in KINDS:
            metrics |= scores.means("correct", kind, 100, f"{kind}/")
        if answers.n and protocol != "lmms-eval":
            metrics["distribution"] = Metric(value=answers.distance(), n=answers.n)
        return metrics

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        counted = (score for score in scores if _counts(score, protocol))
        return columns_of(counted, ("correct",)).pooled("correct", 100)


def _counts(score: Score, protocol: str) -> bool:
    return protocol == "lmms-eval" or UNBALANCED not in score.tags
