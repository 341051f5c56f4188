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
  negative only if it is exactly ``no``. Each sampling has its own figures; accuracy, F1 and the rest are the means of
  the three.
- ``llava`` (LLaVA eval_pope.py): the same reading and the same figures, under the name that LLaVA's tables go by; it
  prints them rounded to three decimals.
- ``lmms-eval``: the answer, stripped and in lower case, must equal the label ('Yes.' is wrong). All questions are
  pooled. Recall leaves out the positives answered by neither yes nor no; ``yes_ratio`` is that of the labels.

A ratio without denominator is left out, and with it the mean over the samplings (the official script stops there with
an error); lmms-eval calls it 0. Answers that name neither yes nor no count as the protocol says and are marked
unparsed. Chance: half of the labels are yes, so guessing gives 50 %.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from hermes.evaluators.base import SHORT_ANSWER, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.harness.images import image_handle
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import COLORS, SHAPES, Scene, Split, scenes
from hermes.harness.shapes.words import with_article
from hermes.harness.stats import bootstrap_metrics
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

SAMPLINGS = ("random", "popular", "adversarial")
NAMES = tuple(f"{color} {shape}" for color, shape in product(COLORS, SHAPES))
IMAGES = 50
PAIRS = 3
FIGURES = ("accuracy", "precision", "recall", "f1", "yes_ratio")
Table = NDArray[np.float64]


def read_official(text: str) -> tuple[str, bool]:
    """('yes' or 'no', whether the text said so itself)."""
    head = text.split(".")[0].replace(",", "")
    if {"No", "not", "no"} & set(head.split(" ")):
        return "no", True
    return "yes", re.search(r"\byes\b", head, re.IGNORECASE) is not None


def figures(pooled: bool, counts: Table, images: NDArray[np.intp] | slice = slice(None)) -> list[float]:
    """The figures of the chosen images, in the order of FIGURES: each the mean over the samplings.

    ``counts``, shape (images, samplings, 6): how many questions, right ones, 'yes', true 'yes', denied positives,
    positives. ``pooled``: as lmms-eval has it, undefined ratios 0 and the yes ratio that of the labels.
    """
    asked, right, yes, hits, denied, positives = counts[images].sum(axis=0).T

    def ratio(part: Table, whole: Table) -> Table:
        values = np.full(part.shape, 0.0 if pooled else np.nan)
        np.divide(part, whole, out=values, where=whole > 0)
        return values

    precision, recall = ratio(hits, yes), ratio(hits, hits + denied)
    f1 = ratio(2 * precision * recall, precision + recall)
    values = (ratio(right, asked), precision, recall, f1, ratio(positives if pooled else yes, asked))
    return [float(value.mean()) for value in values]


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
        shapes_n=len(SAMPLINGS) * IMAGES * 2 * PAIRS,
    )
    config = GenerationConfig(max_new_tokens=128, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 50.0
    best = 100.0
    protocols = ("official", "lmms-eval", "llava")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """50 images a sampling, taken in turn; three objects that are there and three that are not for each.

        As in the paper only images with at least three different objects are asked about. Absent objects are drawn at
        random, or are the most frequent ones in all images, or recombine the colours and shapes of the image itself.
        """
        crowded = (s for s in scenes(split, seed, self.name) if len({obj.name for obj in s.objects}) >= PAIRS)
        images = list(islice(crowded, len(SAMPLINGS) * IMAGES))
        counts = Counter(name for scene in images for name in sorted({obj.name for obj in scene.objects}))
        rows: list[Row] = []
        for number, scene in enumerate(images):
            sampling = SAMPLINGS[number % len(SAMPLINGS)]
            rng = random.Random(derive_seed(seed, split, self.name, number))
            present = sorted({obj.name for obj in scene.objects})
            pairs = zip(rng.sample(present, PAIRS), absent_objects(scene, sampling, counts, rng), strict=True)
            picture = draw(scene)
            for name, label in [
                (name, label) for pair in pairs for name, label in zip(pair, ("yes", "no"), strict=True)
            ]:
                rows.append(
                    {
                        "id": str(len(rows)),
                        "question_id": str(len(rows) + 1),
                        "question": f"Is there {with_article(name)} in the image?",
                        "answer": label,
                        "image_source": f"shapes_{split}_{number:06d}",
                        "image": picture,
                        "category": sampling,
                    }
                )
        return rows

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

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        pooled = protocol == "lmms-eval"
        metrics = spread(scores, "" if pooled else "category", pooled, "")
        for category in sorted({score.tags["category"] for score in scores}):
            members = [score for score in scores if score.tags["category"] == category]
            metrics |= spread(members, "", pooled, f"{category}/")
        return metrics


class POPE8910(POPE):
    """LLaVA's 8,910 questions; the metrics are those of `POPE`."""

    name = "pope-8910"
    title = "POPE (LLaVA's 8,910)"
    data = replace(POPE.data, config="Full", split="adversarial+popular+random", n=8910)
    protocols = ("llava", "official", "lmms-eval")
    standard = False


def spread(scores: Sequence[Score], tag: str, pooled: bool, prefix: str) -> dict[str, Metric]:
    """The figures that are defined, as means over the values of the tag, with intervals from resampling images."""
    images, image = np.unique([score.group_id for score in scores], return_inverse=True)
    parts, part = np.unique([score.tags.get(tag, "") for score in scores], return_inverse=True)
    counts = np.zeros((len(images), len(parts), 6))
    rows = [
        (1, v["correct"], v["yes"], v["yes"] * v["positive"], v["no"] * v["positive"], v["positive"])
        for v in (score.values for score in scores)
    ]
    np.add.at(counts, (image, part), np.array(rows))
    found = bootstrap_metrics(partial(figures, pooled, counts), images.tolist(), scale=100)
    return {
        prefix + name: metric.model_copy(update={"n": len(scores)})
        for name, metric in zip(FIGURES, found, strict=True)
        if math.isfinite(metric.value)
    }


def absent_objects(scene: Scene, sampling: str, counts: Mapping[str, int], rng: random.Random) -> list[str]:
    """Three objects that are not in the scene, as the sampling has it."""
    absent = [name for name in NAMES if name not in {obj.name for obj in scene.objects}]
    rng.shuffle(absent)
    if sampling == "popular":
        absent.sort(key=lambda name: -counts.get(name, 0))
    elif sampling == "adversarial":
        parts = {word for obj in scene.objects for word in (obj.color, obj.shape)}
        absent.sort(key=lambda name: -sum(word in parts for word in name.split()))
    return absent[:PAIRS]
