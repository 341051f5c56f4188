"""Homologous items: one image, its caption, and questions that follow from the caption, asked both ways.

Paper: HermesFlow (NeurIPS 2025, arXiv:2502.12148), the gap between understanding and generation.
- Understanding: the model answers the questions about the real image. Prompt: the question and the short-answer line.
- Generation: the model draws one image from the caption (the whole prompt); a judge answers the questions about it.
Both are the mean over items of the share of right answers, so U - G is the gap of the paper (gap.py pairs the items).

Data: rows ``{id, image, caption, questions: [{question, answer, kind, choices?}]}``, or the files of JourneyDB,
HermesFlow or TIFA as they are (harness/homologous/formats.py), from a file or folder (--data): the paper's items are
not published. Captions without images serve the generation side alone. The paper's judge is GPT-4o: --judge
openai:gpt-4o. Choices, where a question has them, are kept and not shown: HermesFlow shows them in its self-VQA only,
to tell the model's own images apart (``Question:{question} Choice:{list}``), not where it measures the gap.

An answer is right if it is the expected one after both are brought to lower case, without punctuation and articles, and
with number words as digits. An answer without any word is unparsed and counts as wrong. Chance is given as 0 and best
as 1, so that the normalised figures are the raw ones: the paper's gap is one of raw accuracies, and the answers are
free text over questions whose guessing rate nobody knows.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from hermes.evaluators.base import SHORT_ANSWER, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.judged import read_answer_list
from hermes.harness.errors import HermesError
from hermes.harness.homologous.formats import homologous_rows
from hermes.harness.homologous.records import read_questions
from hermes.harness.images import image_handle
from hermes.harness.judges.base import Judge
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes import questions
from hermes.harness.shapes.captions import full
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import Split, scenes
from hermes.harness.stats import mean_metric
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

ITEMS = 400
QUESTIONS = 6
COLUMNS = ("id", "caption", "questions")
ARTICLES = {"a", "an", "the"}
DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}


def normalised(reply: str) -> str:
    """Lower case, words and numbers only, without articles, number words as digits."""
    words = re.findall(r"\w+", reply.lower())
    return " ".join(DIGITS.get(word, word) for word in words if word not in ARTICLES)


@lru_cache(maxsize=4)
def _rows(split: Split, seed: int) -> tuple[Row, ...]:
    """The twin's items; both sides read the same ones."""
    rows: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, "homologous"), ITEMS)):
        rng = random.Random(derive_seed(seed, split, "homologous", number))
        caption = full(scene, rng)
        asked = [
            {"question": qa.question, "answer": qa.answer, "kind": qa.kind}
            for qa in questions.homologous(scene, rng, QUESTIONS)
        ]
        rows.append({"id": f"{number:04d}", "image": draw(scene), "caption": caption, "questions": asked})
    return tuple(rows)


def _over_items(values: Iterable[tuple[str, float]]) -> Metric:
    """The mean over groups of each group's mean."""
    groups: dict[str, list[float]] = defaultdict(list)
    for group, value in values:
        groups[group].append(value)
    return mean_metric([sum(found) / len(found) for found in groups.values()], list(groups))


def _by_kind(values: Iterable[tuple[str, str, float]]) -> dict[str, Metric]:
    """The mean over all questions of a kind, from (kind, group, correct), clustered by item."""
    kinds: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for kind, group, value in values:
        kinds[kind].append((group, value))
    return {
        f"kind/{kind}": mean_metric([value for _, value in kinds[kind]], [group for group, _ in kinds[kind]])
        for kind in sorted(kinds)
    }


class Understanding(Evaluator):
    """U: the questions about the real image. Metrics, 0..1: accuracy over items, and ``kind/<kind>`` over questions."""

    name = "homologous-u"
    version = "1"
    title = "Homologous, understanding"
    ability = "understanding"
    data = DataSpec(hub="", split="test", n=0, columns=("image", *COLUMNS), shapes_n=ITEMS * QUESTIONS, scored=COLUMNS)
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "0..1"
    chance = 0.0
    best = 1.0

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """400 scenes with six questions each."""
        return list(_rows(split, seed))

    def local_rows(self, source: Path, split: Split) -> Iterable[Row]:
        return homologous_rows(source, self.name, split)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a question."""
        for row in rows:
            item, where = str(row["id"]), f"homologous item {row['id']}"
            if row["image"] is None:
                raise HermesError(f"{where} has no image to be asked about; add img_path, or run homologous-g alone")
            image = image_handle(row["image"], where)
            for number, qa in enumerate(read_questions(row["questions"], where)):
                yield Sample(
                    id=f"{item}/{number}",
                    group_id=item,
                    ability=self.ability,
                    prompt=qa.question + SHORT_ANSWER,
                    images=(image,),
                    target=qa.answer,
                    choices=qa.choices,
                    metadata={"kind": qa.kind},
                )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, said = answer.sample, normalised(answer.response.text or "")
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": bool(said) and said == normalised(sample.target)},
            prediction=said,
            reason="" if said else "the answer holds no word",
            status="scored" if said else "unparsed",
            tags={"kind": sample.metadata["kind"]},
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        kinds = _by_kind((score.tags["kind"], score.group_id, score.values["correct"]) for score in scores)
        return {"accuracy": _over_items((score.group_id, score.values["correct"]) for score in scores), **kinds}


class Generation(Evaluator):
    """G: the same questions about the generated image. Metrics, 0..1: accuracy over items, and ``kind/<kind>``."""

    name = "homologous-g"
    version = "1"
    title = "Homologous, generation"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=COLUMNS, shapes_n=ITEMS)
    config = GenerationConfig(num_images=1)
    headline = "accuracy"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    judge = "oracle"

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """The very rows of the understanding side."""
        return list(_rows(split, seed))

    def local_rows(self, source: Path, split: Split) -> Iterable[Row]:
        return homologous_rows(source, self.name, split)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample an item; the target is its questions."""
        for row in rows:
            item, where = str(row["id"]), f"homologous item {row['id']}"
            yield Sample(
                id=item,
                group_id=item,
                ability=self.ability,
                prompt=text(row, "caption", where),
                target=[qa.row() for qa in read_questions(row["questions"], where)],
            )

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": [one a question]}`` for each image."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [[qa["question"] for qa in answer.sample.target] for answer in answers]
        images = [image for image, batch in zip(opened, asked, strict=True) for _ in batch]
        said = iter(judge.answer(images, [question for batch in asked for question in batch]))
        return [{"answers": list(islice(said, len(batch)))} for batch in asked]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        return read_answer_list(data, len(sample.target))

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, said = answer.sample, [normalised(reply) for reply in (answer.judgement or {})["answers"]]
        kinds: dict[str, list[float]] = defaultdict(list)
        for qa, reply in zip(sample.target, said, strict=True):
            kinds[qa["kind"]].append(float(reply == normalised(qa["answer"])))
        right = [value for found in kinds.values() for value in found]
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={
                "accuracy": sum(right) / len(right),
                **{f"kind/{kind}": sum(found) / len(found) for kind, found in kinds.items()},
            },
            prediction=said,
            reason="" if any(said) else "the judge could not read the image",
            status="scored" if any(said) else "unparsed",
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        kinds = _by_kind(
            (qa["kind"], score.group_id, float(reply == normalised(qa["answer"])))
            for score in scores
            for qa, reply in zip(samples[score.sample_id].target, score.prediction, strict=True)
        )
        return {"accuracy": _over_items((score.group_id, score.values["accuracy"]) for score in scores), **kinds}
