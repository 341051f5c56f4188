"""Any task of lmms-eval that asks for text: its documents, prompts, pictures and scorers, on Hermes' runner.

``--tasks lmms:NAME`` is a task that comes with lmms-eval, ``lmms:FOLDER:NAME`` one whose YAML lies in FOLDER (there
NAME may be one that lmms-eval has too; no comma and no "@" in FOLDER). The task is built by lmms-eval's TaskManager for
the model name "hermes", which gets each task's default prompt. Its data set is its own, whatever --data says.

What is asked: the few-shot context and doc_to_text of each document, its visuals, and max_new_tokens, temperature,
do_sample and top_k of generation_kwargs; ``repeats`` answers a document. Answers are stored as the model gave them.
What is scored: each answer up to the first ``until`` string, through the task's filters, process_results and
aggregation. `lmms-eval --model hermes` asks the same with the same seeds, so that both give the same numbers.

Differences from lmms-eval's own run: scoring starts from lmms-eval's seeds each time, so that tasks that draw letters
give the same number twice; a document that process_results cannot read is an error, counted and in no mean, and stops
nothing; metrics have 95 % intervals where they are plain means and no standard errors elsewhere; whether a higher value
is better is the task's affair, and its metrics are in no gap, as nobody knows what chance scores.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from math import isfinite
from numbers import Real
from typing import Any, ClassVar

from PIL import Image

from hermes.evaluators.lmms.metrics import metrics_of
from hermes.evaluators.lmms.requests import generation_config, pictures
from hermes.evaluators.lmms.scoring import (
    Outcome,
    aggregated,
    collected,
    metric_key,
    outcomes,
    plain,
)
from hermes.evaluators.lmms.tasks import FEWSHOT_SEED, as_lmms_eval, build_task, reason, task_version
from hermes.evaluators.lmms.visuals import digest_of
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError


class LmmsTask(Evaluator):
    """One task of lmms-eval; `make` gives it the name, data, settings and metrics that the task has."""

    name = "lmms"
    version = "1"
    title = "any task of lmms-eval, as lmms:NAME"
    ability = "understanding"
    data = DataSpec(hub="", split="", n=0, columns=())
    config = GenerationConfig()
    headline = "the task's first"
    unit = "own unit"
    chance = 0.0
    best = 0.0
    protocols = ("lmms-eval",)
    standard = False
    extra = "lmms"
    packages = ("lmms_eval",)
    strips_reasoning = ()  # `outcomes` does it, behind the task's filters
    task: ClassVar[Any] = None

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of "NAME" or "FOLDER:NAME"; builds the task, which loads its data set."""
        if not argument:
            raise HermesError(
                "task 'lmms' needs a name of lmms-eval's: give lmms:NAME, or lmms:FOLDER:NAME for your own"
            )
        task = build_task(argument)
        first = next(iter(task.aggregation()), "none")
        of_task = {
            "task": task,
            "name": f"lmms:{task.config.task}",
            "version": task_version(task),
            "title": f"{task.config.task} (lmms-eval)",
            "data": DataSpec(hub="", split="", n=len(task.eval_docs), columns=(), ungrouped=True),
            "config": generation_config(task.config.generation_kwargs or {}, task.config.repeats or 1),
            "headline": metric_key(task, first, task._filters[0].name),
        }
        bound: type[Evaluator] = type(cls.__name__, (cls,), of_task)
        return bound()

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}

    def own_rows(self) -> Iterable[Row] | None:
        """The documents without their pictures, numbered."""
        return ({"doc_id": number, "doc": doc} for number, doc in enumerate(self.task.eval_docs_no_media))

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """Every document as one sample; all at once and in order, so that few-shot examples are always the same."""
        with as_lmms_eval():
            self.task.set_fewshot_seed(FEWSHOT_SEED)
            return iter([self._sample(row["doc_id"], row["doc"]) for row in rows])

    def categories(self, sample: Sample) -> Collection[str]:
        """None: what a document calls its category only its task knows."""
        return ()

    def _sample(self, number: int, doc: Mapping[str, Any]) -> Sample:
        where = f"{self.name} {number}"
        try:
            prompt = self.task.fewshot_context(doc, self.task.config.num_fewshot)
        except Exception as error:
            raise HermesError(f"{where}: the task cannot write its prompt ({reason(error)}); fix the task") from None
        if not isinstance(prompt, str):
            raise HermesError(f"{where}: the prompt is a {type(prompt).__name__}, not a text; choose another task")
        digest = hashlib.sha256(json.dumps(plain(doc), sort_keys=True).encode()).hexdigest()
        return Sample(
            id=str(number),
            group_id=str(number),
            ability=self.ability,
            prompt=prompt,
            images=self._images(number, where),
            metadata={"doc_id": number, "doc_sha256": digest},
        )

    def _images(self, number: int, where: str) -> tuple[ImageHandle, ...]:
        """Only the task knows how many pictures there are, so they are made here; one that fails will fail again."""
        try:
            visuals = self._visuals(number)
        except Exception as error:
            digests = [reason(error)]
        else:
            digests = [digest_of(source, where) for source in pictures(visuals, where)]
        return tuple(ImageHandle(partial(self._picture, number, k), where, digest) for k, digest in enumerate(digests))

    def _picture(self, number: int, index: int) -> Any:
        with as_lmms_eval():
            picture = pictures(self._visuals(number), self.name)[index]
            if isinstance(picture, Image.Image):
                picture.load()
            return picture

    def _visuals(self, number: int) -> Any:
        return self.task.doc_to_visual(self.task.eval_docs[number])

    def score(self, answer: Answer, protocol: str) -> Score:
        return next(self.scores([answer], protocol))

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        """A document's first score holds what the task says of all its answers; if one is missing, it is an error.

        The task's filters look at all answers at once.
        """
        answers = list(answers)
        replies: dict[int, list[str]] = {}
        for answer in answers:
            replies.setdefault(_document(answer), []).append(answer.response.text or "")
        whole = [number for number, texts in replies.items() if len(texts) >= self.config.num_images]
        with as_lmms_eval():
            found = dict(
                zip(whole, outcomes(self.task, whole, [replies[number] for number in whole], self.tags), strict=True)
            )
        missing = f"not all {self.config.num_images} answers are there"
        for answer in answers:
            yield self._score(answer, found.get(_document(answer), missing))

    def _score(self, answer: Answer, found: Outcome | str) -> Score:
        score = Score(sample_id=answer.sample.id, index=answer.response.index, group_id=answer.sample.group_id)
        if isinstance(found, str):
            return score.model_copy(update={"status": "error", "reason": found})
        if score.index > 0:
            return score
        said = {key: values[0] for key, (_, values) in collected(self.task, [found]).items()}
        numbers = {key: float(value) for key, value in said.items() if isinstance(value, Real) and isfinite(value)}
        return score.model_copy(update={"prediction": found, "values": numbers})

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        """What the task's aggregation gives; the files that it writes are kept for ``submission``."""
        found: list[Outcome] = []
        groups: list[str] = []
        for _, score in scored:
            if isinstance(score.prediction, Outcome):
                found.append(score.prediction)
                groups.append(score.group_id)
        items = collected(self.task, found)
        with as_lmms_eval():
            from lmms_eval.api.metrics import mean

            values, self.files = aggregated(self.task, items)
        metrics: dict[str, Metric] = {}
        for key, value in values.items():
            name, said = items[key]
            metrics |= metrics_of(key, value, said, groups if self.task.aggregation()[name] is mean else [])
        return metrics

    def submission(self, scored: Iterable[Scored]) -> Any | None:
        """The files that the task's aggregation wrote for an evaluation server, by name."""
        return self.files or None


def _document(answer: Answer) -> int:
    return int(answer.sample.metadata["doc_id"])
