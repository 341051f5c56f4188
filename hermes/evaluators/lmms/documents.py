"""What all tasks of lmms-eval share on Hermes' runner: documents, prompts, pictures, and what aggregations give."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from PIL import Image

from hermes.evaluators.lmms.metrics import metrics_of
from hermes.evaluators.lmms.requests import pictures
from hermes.evaluators.lmms.scoring import Outcome, aggregated, collected, plain
from hermes.evaluators.lmms.tasks import FEWSHOT_SEED, as_lmms_eval, reason
from hermes.evaluators.lmms.visuals import digest_of
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, Metric, Sample
from hermes.harness.system.errors import HermesError


class Documents(Evaluator):
    """One task of lmms-eval without the ways to score it."""

    name = "lmms"
    version = "1"
    title = "any task of lmms-eval, as lmms:NAME"
    ability: ClassVar[Ability] = "understanding"
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

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        """What the task's aggregation gives, where a document says anything; its files are kept for ``submission``."""
        found: list[Outcome] = []
        groups: list[str] = []
        for _, score in scored:
            if isinstance(score.prediction, Outcome):
                found.append(score.prediction)
                groups.append(score.group_id)
        told = collected(self.task, found)
        items = {key: pair for key, pair in told.items() if any(said is not None for said in pair[1])}
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


def document(answer: Answer) -> int:
    """The number of the document that was asked about."""
    return int(answer.sample.metadata["doc_id"])
