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

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hermes.evaluators.homologous_text import normalised
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Collector, collect
from hermes.harness.contracts.fields import text
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.judged import read_answer_list
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.records import read_questions
from hermes.harness.records.images import image_handle
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

COLUMNS = ("id", "caption", "questions")


class Understanding(Evaluator):
    """U: the questions about the real image. Metrics, 0..1: accuracy over items, and ``kind/<kind>`` over questions."""

    name = "homologous-u"
    version = "1"
    title = "Homologous, understanding"
    ability = "understanding"
    data = DataSpec(hub="", split="test", n=0, columns=("image", *COLUMNS), scored=COLUMNS)
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "0..1"
    chance = 0.0
    best = 1.0

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

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, ("correct",), ("kind",))
        kinds = scores.means("correct", "kind", prefix="kind/")
        return {"accuracy": scores.mean_of_groups("correct"), **kinds}


class Generation(Evaluator):
    """G: the same questions about the generated image. Metrics, 0..1: accuracy over items, and ``kind/<kind>``."""

    name = "homologous-g"
    version = "1"
    title = "Homologous, generation"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=COLUMNS)
    config = GenerationConfig(num_images=1)
    headline = "accuracy"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    judge_needs = "answer"

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

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        items, asked = Collector(("accuracy",)), Collector(("correct",), ("kind",))
        for sample, score in scored:
            items.add(score.group_id, score.values)
            for qa, reply in zip(sample.target, score.prediction, strict=True):
                asked.add(score.group_id, {"correct": reply == normalised(qa["answer"])}, {"kind": qa["kind"]})
        kinds = asked.columns().means("correct", "kind", prefix="kind/")
        return {"accuracy": items.columns().mean_of_groups("accuracy"), **kinds}
