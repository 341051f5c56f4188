"""Unison's internal consistency (IC): the same yes questions about a reference picture and about the model's drawing.

Paper: arXiv 2606.26984 (ICML 2026). Licence of the code (FudanCVL/Unison at 407b7b5): MIT; the data card states none,
so the data do not come with Hermes.
Data: the folder Internal_Consistency of FudanCVL/Unison, 556 prompts with a reference picture and questions; yes is the
right answer to each. Give the folder, or rows ``{id, prompt, image, questions: {number: text}}``, with --data.
- ``unison-u``: the model answers about the reference. Prompt: the question and " Answer ONLY yes or no.", or the
  ``instruction`` of the row.
- ``unison-g``: the model draws one picture from the prompt, nothing added; a judge answers about it.
- ``unison-swapped``: the questions of ``unison-u`` about the reference of the next item, to which yes is mostly wrong.

The official judge is Unison-Judge (Qwen3-VL-8B, fine-tuned); the authors' other choice is gpt-4o. A judge that writes
(``hf:``, ``openai:``) is asked in the published words, any other judge the question as it is.

Protocols, both read by `unison_ic`: the first piece of a reply that is yes or no counts, a reply without one is not
yes, and unparsed.
- ``official``: the text of a failed call ("ERROR: ...") is read as an answer; a question without text counts against
  the item; a judgement that says ``"drawn": false`` counts 0.
- ``corrected``: these are left out; reasoning before an answer is taken away.

Metrics in percent, means over items: ``understanding``, ``generation``, ``denied``. How both sides go along is under
"gap", "unison" of a run that has both (harness/run/gap.py): Uni, the 2 x 2, phi. A model that always says yes has an
understanding of 100 and denies nothing, so neither is in a mean over benchmarks.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from hermes.evaluators.unison_ic import FAILED, NO_ROWS, Item, Question, corrected, official, yes_or_no
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.fields import nested, text
from hermes.harness.contracts.judge import Judge, Writer, word_for_word
from hermes.harness.data.official.unison import unison_rows
from hermes.harness.records.agreement import ASKED, RIGHT, question_key
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError, JudgeError

YES_OR_NO = " Answer ONLY yes or no."
SYSTEM = "You are a precise VQA assistant. Answer questions with only 'yes' or 'no'. Do not explain."
ASK, TOKENS = "{}\nAnswer only 'yes' or 'no'.", 8
CORRECT, DENIED, GENERATED, UNIFIED = "correct", "denied", "generation", "unified"
EXPECTED = '{"answers": {question number: text or null}}, beside it "understanding" likewise and "drawn": true or false'
CELLS = {"questions": nested}


class Unison(Evaluator):
    """What all three share. ``value`` is what the headline is the mean of."""

    version = "1"
    unit = "%"
    best = 100.0
    chance = best  # a model that always says yes reaches all of it, so it is in no mean over benchmarks
    protocols = ("official", "corrected")
    strips_reasoning = ("corrected",)
    standard = False
    value: ClassVar[str]

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return unison_rows(source)

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {self.headline: _over_items(collect(scored, (self.value,)), self.value).metric()}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return _over_items(columns_of(scores, (cls.value,)), cls.value)


class Understanding(Unison):
    """Metric in percent: understanding, the mean over items of the share of questions with a yes."""

    name = "unison-u"
    title = "Unison IC, understanding"
    ability = "understanding"
    data = DataSpec(
        hub="", split="test", n=0, columns=("id", "image", "questions"), scored=("id", "questions"), cells=CELLS
    )
    config = GenerationConfig(max_new_tokens=512, temperature=0.0)
    headline = "understanding"
    value = CORRECT

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a question."""
        for row in rows:
            yield from self.asked(row, row)

    def asked(self, row: Row, shown: Row) -> Iterator[Sample]:
        """The questions of a row about the picture of ``shown``."""
        image = image_handle(shown["image"], f"{self.name} item {shown['id']}")
        for number, question in _questions(row, f"{self.name} item {row['id']}").items():
            yield Sample(
                id=f"{row['id']}/{number}",
                group_id=str(row["id"]),
                ability=self.ability,
                prompt=question + row.get("instruction", YES_OR_NO),
                images=(image,),
                target="yes",
                metadata={"question": question},
            )

    def categories(self, sample: Sample) -> Collection[str]:
        return ()

    def score(self, answer: Answer, protocol: str) -> Score:
        question, read = answer.sample.metadata["question"], yes_or_no(answer.response.text or "")
        if not question and protocol == "corrected":
            return _score(answer, {}, read, ())
        return _score(answer, {CORRECT: float(read == "yes")}, read, [(question, read == "yes")])


class Swapped(Understanding):
    """Metric in percent: denied, the mean over items of the share of questions with a no."""

    name = "unison-swapped"
    title = "Unison IC, swapped pictures"
    headline = DENIED
    value = DENIED

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """The questions of each item about the picture of the next one, those of the last about the one before."""
        before: Row | None = None
        last: Row | None = None
        for row in rows:
            if last is not None:
                yield from self.asked(last, row)
            before, last = last, row
        if last is not None and before is not None:
            yield from self.asked(last, before)

    def asked(self, row: Row, shown: Row) -> Iterator[Sample]:
        for sample in super().asked(row, shown):
            yield sample.model_copy(update={"target": "no"})

    def score(self, answer: Answer, protocol: str) -> Score:
        read = yes_or_no(answer.response.text or "")
        return _score(answer, {DENIED: float(read == "no")}, read, ())


class Generation(Unison):
    """Metrics in percent, means over items: generation, the share of questions with a yes of the judge.

    ``unified``, the share with a yes on both sides, where judgements bring the model's own answers.
    """

    name = "unison-g"
    title = "Unison IC, generation"
    ability = "generation"
    data = DataSpec(
        hub="", split="test", n=556, columns=("id", "prompt", "questions"), scored=("id", "questions"), cells=CELLS
    )
    config = GenerationConfig(num_images=1)
    headline = GENERATED
    value = GENERATED
    judge_needs = "answer"

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample an item; its target is its questions."""
        for row in rows:
            item, where = str(row["id"]), f"{self.name} item {row['id']}"
            asked = [
                {"number": number, "question": question, "answer": "yes"}
                for number, question in _questions(row, where).items()
            ]
            prompt = text(row, "prompt", where)
            yield Sample(id=item, group_id=item, ability=self.ability, prompt=prompt, target=asked)

    def judged(self, sample: Sample) -> list[str]:
        return [qa["question"] for qa in sample.target if qa["question"]]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": [one a question]}`` for each image; None for a question without text, which is not asked."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [self.judged(answer.sample) for answer in answers]
        images = [image for image, questions in zip(opened, asked, strict=True) for _ in questions]
        texts = [question for questions in asked for question in questions]
        if "write" in judge.abilities:
            worded = [ASK.format(question) for question in texts]
            said = iter(cast(Writer, judge).write(images, worded, SYSTEM, TOKENS, 0))
        else:
            said = iter(word_for_word(judge, images, texts))
        return [
            {"answers": [next(said) if qa["question"] else None for qa in answer.sample.target]} for answer in answers
        ]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """The replies by number or in order; beside them the model's own about the reference, and whether it drew."""
        found = {side: _replies(data[side], sample) for side in ("answers", "understanding") if side in data}
        drawn = data.get("drawn", True)
        if "answers" not in found or not isinstance(drawn, bool):
            raise HermesError(f"expected {EXPECTED}")
        return {**found, "drawn": drawn}

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        texts, said = [qa["question"] for qa in sample.target], judgement["answers"]
        own = judgement.get("understanding")
        replies = zip(texts, own or [""] * len(texts), said, strict=True)
        item = Item(0, tuple(Question(*one) for one in replies), judgement.get("drawn", True))
        values = _shares(item, protocol)
        if own is None:
            values.pop(UNIFIED, None)
        read = [yes_or_no(one.judged or "") if _counts(one, protocol) else None for one in item.questions]
        verdicts = [(question, one == "yes") for question, one in zip(texts, read, strict=True) if one is not None]
        return _score(answer, values, read, verdicts)

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, (GENERATED, UNIFIED))
        metrics = {name: _over_items(scores, name).metric() for name in (GENERATED, UNIFIED)}
        return {name: metric for name, metric in metrics.items() if metric.n or name == GENERATED}


def _shares(item: Item, protocol: str) -> dict[str, float]:
    """What an item's picture counts. Raises JudgeError where there is nothing to take a share of."""
    if protocol == "official":
        details = official([item])["details"]
        if not details:
            raise JudgeError(f"the program leaves the item out: {NO_ROWS}")
        return {GENERATED: details[0]["generation_item"], UNIFIED: details[0]["unified_item"]}
    if not item.drawn:
        raise JudgeError("there is no picture")
    told = corrected([item])["items"][0]
    if told["generation"] is None:
        raise JudgeError("no question was judged")
    return {GENERATED: told["generation"]} | ({} if told["both"] is None else {UNIFIED: told["both"]})


def _counts(question: Question, protocol: str) -> bool:
    """Whether the judge's reply to a question counts."""
    failed = not question.text or not question.judged or question.judged.startswith(FAILED)
    return protocol == "official" or not failed


def _score(answer: Answer, values: dict[str, float], read: Any, verdicts: Sequence[tuple[str, bool]]) -> Score:
    """A score that says of each question whether yes was said to it, for the 2 x 2."""
    unread = [read].count("unknown") if isinstance(read, str) else read.count("unknown")
    return Score(
        sample_id=answer.sample.id,
        index=answer.response.index,
        group_id=answer.sample.group_id,
        values=values,
        prediction=read,
        reason=f"{unread} of the replies are neither yes nor no" if unread else "",
        status="unparsed" if unread else "scored",
        tags={
            ASKED: " ".join(question_key(question) for question, _ in verdicts),
            RIGHT: "".join(str(int(right)) for _, right in verdicts),
        },
    )


def _over_items(scores: Columns, value: str) -> Means:
    """The mean over items of the mean of their scores, in percent, of those that have the value."""
    return scores.take(np.flatnonzero(np.isfinite(scores.values[value]))).grouped(value, 100)


def _questions(row: Row, where: str) -> dict[str, str]:
    """The questions by number. Raises HermesError where they are none."""
    found = row["questions"]
    if isinstance(found, list):
        found = {str(number): question for number, question in enumerate(found, 1)}
    if not isinstance(found, Mapping) or not found or not all(isinstance(one, str) for one in found.values()):
        raise HermesError(f"{where}: questions must be {{number: text}}; fix the row")
    return {str(number): question.strip() for number, question in found.items()}


def _replies(found: Any, sample: Sample) -> list[str | None]:
    """One reply a question, None for a failed one. Raises HermesError for another form."""
    numbers = [qa["number"] for qa in sample.target]
    if isinstance(found, list) and len(found) == len(numbers):
        found = dict(zip(numbers, found, strict=True))
    if not isinstance(found, Mapping) or not all(one is None or isinstance(one, str) for one in found.values()):
        raise HermesError(f"expected {EXPECTED}")
    replies = {str(number): said for number, said in found.items()}
    if strange := sorted(replies.keys() - set(numbers)):
        raise HermesError(f"there is no question {strange[0]!r}; expected {EXPECTED} with {', '.join(numbers)}")
    return [replies.get(number) for number in numbers]
