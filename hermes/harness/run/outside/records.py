"""Answers from files as the records that the harness stores."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.data.answers import Answers
from hermes.harness.data.given import Given
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import judgement_key
from hermes.harness.records.types import GenerationConfig, Judgement, Response, Sample
from hermes.harness.run.outside.task import GIVEN
from hermes.harness.run.plan import Task, keyed
from hermes.harness.system.errors import HermesError, ImageError, JudgeError
from hermes.harness.system.progress import Progress


@dataclass(frozen=True)
class Records:
    """Responses, judgements that came with them, and images, by the key of the request."""

    responses: dict[str, Response]
    judgements: dict[str, Judgement]
    images: dict[str, ImageHandle]

    def image(self, response: Response) -> ImageHandle:
        """The image of a response, where it lies."""
        return self.images[response.key]

    def fingerprint(self) -> str:
        """A hash of all that was answered."""
        digest = hashlib.sha256()
        for key, response in self.responses.items():
            judged = self.judgements.get(key)
            content = [
                response.sample_id,
                response.index,
                response.text,
                response.image,
                judged.data if judged else None,
            ]
            digest.update(json.dumps(content, sort_keys=True).encode())
        return digest.hexdigest()[:16]


def records_of(
    task: Task, config: GenerationConfig, found: Sequence[Sample], answers: Answers, progress: Progress
) -> Records:
    """The records of all answers; every image is read once, and one that cannot be read is a response with an error.

    ``found`` are the samples of the answers. Raises HermesError for judgements of another form than the
    evaluator's.
    """
    wanted = {(one.sample.id, one.number): one for one in keyed(task, config)}
    records = Records({}, {}, {})
    progress.start("read answers", len(answers.given))
    for answer, sample in zip(answers.given, found, strict=True):
        one = wanted[sample.id, answer.index]
        prompt = hashlib.sha256(one.sample.prompt.encode()).hexdigest()
        response = Response(
            key=one.key,
            sample_id=one.sample.id,
            index=one.number,
            seed=0,
            prompt_sha256=prompt,
            **_content(answer),
        )
        records.responses[one.key] = response
        if answer.image is not None:
            records.images[one.key] = answer.image
        if answer.judgement is not None:
            key = judgement_key(one.key, response.image, one.whole)
            records.judgements[one.key] = _judgement(task.evaluator, one.sample, answer, key)
        progress.advance()
    return records


def _content(answer: Given) -> dict[str, Any]:
    return {"text": answer.text} if answer.image is None else picture_content(answer.image)


def picture_content(image: ImageHandle) -> dict[str, Any]:
    """What a response holds of a picture that lies anywhere: its hash, or why it cannot be read."""
    try:
        return {"image": image.sha256()}
    except ImageError as error:
        return {"status": "error", "error": str(error)}


def _judgement(evaluator: Evaluator, sample: Sample, answer: Given, key: str) -> Judgement:
    try:
        content: dict[str, Any] = {"data": evaluator.read_judgement(sample, answer.judgement or {})}
    except JudgeError as error:
        content = {"error": str(error)}
    except HermesError as error:
        raise HermesError(f"{answer.where}: the judgement cannot be read: {error}") from None
    return Judgement(key=key, sample_id=sample.id, index=answer.index, judge=GIVEN, **content)
