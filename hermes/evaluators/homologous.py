"""Homologous items: one image, its caption, and questions that follow from the caption, asked both ways.

Paper: HermesFlow (NeurIPS 2025, arXiv:2502.12148), the gap between understanding and generation.
- Understanding: the model answers the questions about the real image. Prompt: the question and the short-answer line.
- Generation: the model draws one image from the caption (the whole prompt); a judge answers the questions about it.
Both are the mean over items of the share of right answers, so U - G is the gap of the paper (gap.py pairs the items).
Scores say of each question whether it is right (the tags ``asked`` and ``right``); joint.py pairs the questions.

Data: rows ``{id, image, caption, questions: [{question, answer, kind, choices?}]}``, or the files of JourneyDB,
HermesFlow or TIFA as they are (harness/homologous/formats.py), from a file or folder (--data): the paper's items are
not published. Captions without images serve the generation side alone. The paper's judge is GPT-4o: --judge
openai:gpt-4o. Choices, where a question has them, are kept and not shown: HermesFlow shows them in its self-VQA only,
to tell the model's own images apart (``Question:{question} Choice:{list}``), not where it measures the gap.

Protocols
- ``official``: both sides are read by one reader (harness/contracts/reader.py, whose docstring has the rules): where
  the right answer is yes or no the reply is read as one of them, where a question has choices as one of those, and else
  as its words; it is right if that is the expected answer.
- ``similarity``: as TIFA and HermesFlow's scripts map free answers, a reply that the reader finds among no choices
  stands for the choice that is closest in meaning: the cosine of all-MiniLM-L6-v2 (TIFA has all-mpnet-base-v2).

A reply that cannot be read is wrong, and unparsed: a question's answer on the one side, on the other an image about
which any reply could not be read. ``yes_gold`` and ``yes_said`` are the shares of yes among the right answers and among
the replies to yes/no questions: where the first is far from a half, a model that always says yes scores well. Chance is
given as 0 and best as 1, so that the normalised figures are the raw ones: the paper's gap is one of raw accuracies, and
the answers are free text over questions whose guessing rate nobody knows.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hermes.evaluators.homologous_replies import BINARY, CLOSEST, Asked, read_all, yes_shares
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Verdict
from hermes.harness.contracts.columns import Collector, collect, columns_of
from hermes.harness.contracts.fields import nested, text
from hermes.harness.contracts.judge import Judge, word_for_word
from hermes.harness.contracts.judged import read_answer_list
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.records import read_questions
from hermes.harness.records.agreement import ASKED, RIGHT, question_key
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

COLUMNS = ("id", "caption", "questions")
CELLS = {"questions": nested}
BATCH = 256
TAGS = ("kind", BINARY)


class Homologous(Evaluator):
    """What both sides share: their rows, and the reading of replies, many at once."""

    version = "2"
    headline = "accuracy"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    protocols = ("official", CLOSEST)
    divides = True

    def local_rows(self, source: Path, split: Split) -> Iterable[Row]:
        return homologous_rows(source, self.name, split, self.held_out)

    def score(self, answer: Answer, protocol: str) -> Score:
        return next(self.scores([answer], protocol))

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        stream, size = iter(answers), BATCH if protocol == CLOSEST else 1
        while batch := list(islice(stream, size)):
            asked = [self.asked(answer) for answer in batch]
            said = iter(read_all([one for questions in asked for one in questions], protocol))
            for answer, questions in zip(batch, asked, strict=True):
                yield self.score_read(answer, questions, list(islice(said, len(questions))))

    @abstractmethod
    def asked(self, answer: Answer) -> list[Asked]:
        """The replies that an answer is scored by, with their questions."""

    @abstractmethod
    def score_read(self, answer: Answer, asked: Sequence[Asked], said: Sequence[str]) -> Score:
        """The score of an answer whose replies were read as ``said``."""


class Understanding(Homologous):
    """U: the questions about the real image.

    Metrics, 0..1: accuracy over items; over questions ``kind/<kind>`` and, of those of yes or no, the shares of yes as
    `yes_gold` and `yes_said`.
    """

    name = "homologous-u"
    title = "Homologous, understanding"
    ability = "understanding"
    data = DataSpec(hub="", split="test", n=0, columns=("image", *COLUMNS), scored=COLUMNS, cells=CELLS)
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    strips_reasoning = Homologous.protocols

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

    def asked(self, answer: Answer) -> list[Asked]:
        return [Asked(answer.response.text or "", answer.sample.target, answer.sample.choices)]

    def score_read(self, answer: Answer, asked: Sequence[Asked], said: Sequence[str]) -> Score:
        sample = answer.sample
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": asked[0].right(said[0])},
            prediction=said[0],
            reason="" if said[0] else "the answer cannot be read",
            status="scored" if said[0] else "unparsed",
            tags=asked[0].tags(sample.metadata["kind"], said[0])
            | {ASKED: question_key(sample.prompt.removesuffix(SHORT_ANSWER))},
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        questions = collect(scored, ("correct",), TAGS)
        kinds = questions.means("correct", "kind", prefix="kind/")
        return {"accuracy": questions.grouped("correct").metric(), **kinds, **yes_shares(questions)}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("correct",)).grouped("correct")


class Generation(Homologous):
    """G: the same questions about the generated image; the metrics are those of `Understanding`."""

    name = "homologous-g"
    title = "Homologous, generation"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=COLUMNS, cells=CELLS)
    config = GenerationConfig(num_images=1)
    judge_needs = "answer"

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

    def judged(self, sample: Sample) -> list[str]:
        return [qa["question"] for qa in sample.target]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": [one a question]}`` for each image, as the judge gave them."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [self.judged(answer.sample) for answer in answers]
        images = [image for image, batch in zip(opened, asked, strict=True) for _ in batch]
        said = iter(word_for_word(judge, images, [question for batch in asked for question in batch]))
        return [{"answers": list(islice(said, len(batch)))} for batch in asked]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        return read_answer_list(data, len(sample.target))

    def asked(self, answer: Answer) -> list[Asked]:
        replies = (answer.judgement or {})["answers"]
        return [_asked(qa, reply) for qa, reply in zip(answer.sample.target, replies, strict=True)]

    def score_read(self, answer: Answer, asked: Sequence[Asked], said: Sequence[str]) -> Score:
        sample, unread = answer.sample, sum(not one for one in said)
        kinds: dict[str, list[float]] = defaultdict(list)
        for qa, one, read in zip(sample.target, asked, said, strict=True):
            kinds[qa["kind"]].append(float(one.right(read)))
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
            reason=f"{unread} of {len(said)} replies of the judge cannot be read" if unread else "",
            status="unparsed" if unread else "scored",
            tags={
                ASKED: " ".join(question_key(qa["question"]) for qa in sample.target),
                RIGHT: "".join(str(int(one.right(read))) for one, read in zip(asked, said, strict=True)),
            },
        )

    def verdicts(self, sample: Sample, score: Score) -> Iterator[Verdict]:
        for qa, said in zip(sample.target, score.prediction, strict=True):
            yield Verdict(qa["question"], qa["kind"], said)

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        items, asked = Collector(("accuracy",)), Collector(("correct",), TAGS)
        for sample, score in scored:
            items.add(score.group_id, score.values)
            for qa, said in zip(sample.target, score.prediction, strict=True):
                one = _asked(qa, said)
                asked.add(score.group_id, {"correct": one.right(said)}, one.tags(qa["kind"], said))
        questions = asked.columns()
        kinds = questions.means("correct", "kind", prefix="kind/")
        return {"accuracy": items.columns().grouped("accuracy").metric(), **kinds, **yes_shares(questions)}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means | None:
        return columns_of(scores, ("accuracy",)).grouped("accuracy")


def _asked(qa: Mapping[str, Any], reply: str) -> Asked:
    return Asked(reply, qa["answer"], qa.get("choices", ()))
