"""POPE: does the model see objects that are not there? Yes/no questions under three samplings of the absent objects.

Paper: Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models" (arXiv:2305.10355).
Data: lmms-lab/POPE, split test: 9,000 questions about 500 COCO val2014 images (questions MIT, images as in COCO).
``pope-8910`` is LLaVA's set, from an older commit of POPE's repository whose random sampling has 2,910 questions, not
3,000. On the hub it is looked for in the config "Full", which has a split for each sampling; how many rows that holds
could not be verified, so look at n in the result.
Prompt: the question, then the short-answer line, as LLaVA and lmms-eval ask it.

Protocols
- ``official`` (AoiDragon/POPE evaluate.py): reads up to the first '.', deletes commas, splits at single spaces; 'no' if
  a word is exactly ``No``, ``not`` or ``no``, otherwise 'yes', the empty answer and ``NO`` included. The label is
  negative only if it is exactly ``no``, so ``Yes`` and ``No`` in the rows are read as ``yes`` and ``no`` first. Each
  sampling has its own figures; accuracy, F1 and the rest are the means of the three.
- ``llava`` (LLaVA eval_pope.py): the same reading and the same figures, under the name that LLaVA's tables go by; it
  prints them rounded to three decimals.
- ``lmms-eval``: the answer, stripped and in lower case, must equal the label ('Yes.' is wrong). All questions are
  pooled. Recall leaves out the positives answered by neither yes nor no; ``yes_ratio`` is that of the labels.

A ratio without denominator is left out, and with it the mean over the samplings (the official script stops there with
an error); lmms-eval calls it 0. Answers that name neither yes nor no count as the protocol says and are marked
unparsed. ``yes_gold`` and ``yes_said`` are the shares of yes among all labels and all readings, in every protocol.
Chance: half of the labels are yes, so guessing gives 50 %.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hermes.evaluators.pope_figures import VALUES, spread
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.fields import label, text
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score


def read_official(text: str) -> tuple[str, bool]:
    """('yes' or 'no', whether the text said so itself)."""
    head = text.split(".")[0].replace(",", "")
    if {"No", "not", "no"} & set(head.split(" ")):
        return "no", True
    return "yes", re.search(r"\byes\b", head, re.IGNORECASE) is not None


class POPE(Evaluator):
    """Object hallucination. Metrics in percent: the five figures, and ``<sampling>/<figure>`` for each sampling."""

    name = "pope"
    version = "1"
    title = "POPE"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/POPE",
        split="test",
        n=9000,
        columns=("id", "question_id", "question", "answer", "image_source", "image", "category"),
        scored=("answer", "category"),
        cells={"answer": label},
    )
    config = GenerationConfig(max_new_tokens=128, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 50.0
    best = 100.0
    protocols = ("official", "lmms-eval", "llava")

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            identity = f"{row['category']}/{row['question_id']}"
            where = f"{self.name} {identity}"
            yield Sample(
                id=identity,
                group_id=str(row["image_source"]),
                ability=self.ability,
                prompt=text(row, "question", where).strip() + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target=text(row, "answer", where, ("yes", "no")),
                metadata={"category": text(row, "category", where)},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, reply, label = answer.sample, answer.response.text or "", str(answer.sample.target)
        if protocol == "lmms-eval":
            said, label = reply.strip().lower(), label.lower().strip()
            positive, correct, parsed = label == "yes", said == label, said in ("yes", "no")
        else:
            said, parsed = read_official(reply)
            positive = label != "no"
            correct = (said == "yes") == positive
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": correct, "yes": said == "yes", "no": said == "no", "positive": positive},
            prediction=said,
            reason="" if parsed else "the answer says neither yes nor no",
            status="scored" if parsed else "unparsed",
            tags={"category": str(sample.metadata["category"])},
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores, pooled = collect(scored, VALUES, ("category",)), protocol == "lmms-eval"
        metrics = spread(scores, None if pooled else "category", pooled)
        if len(scores):
            metrics |= {"yes_gold": scores.mean("positive", 100), "yes_said": scores.mean("yes", 100)}
        for category, members in scores.by_tag("category"):
            metrics |= {f"{category}/{name}": metric for name, metric in spread(members, None, pooled).items()}
        return metrics

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        columns = columns_of(scores, ("correct",), ("category",))
        if protocol == "lmms-eval":
            return columns.pooled("correct", 100)
        return Means([(part.values["correct"], part.groups) for _, part in columns.by_tag("category")], scale=100)


class POPE8910(POPE):
    """LLaVA's 8,910 questions; the metrics are those of `POPE`."""

    name = "pope-8910"
    title = "POPE (LLaVA's 8,910)"
    data = replace(POPE.data, config="Full", split="adversarial+popular+random", n=8910)
    protocols = ("llava", "official", "lmms-eval")
    standard = False
