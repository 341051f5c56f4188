"""Answers from files as the records that the harness stores."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from hermes.evaluators.base import Evaluator
from hermes.harness.errors import HermesError, ImageError, JudgeError
from hermes.harness.external.answers import Answers, Given
from hermes.harness.external.rows import ScoredRows
from hermes.harness.external.task import GIVEN
from hermes.harness.images import ImageHandle
from hermes.harness.progress import Progress
from hermes.harness.scoring import Key
from hermes.harness.types import Judgement, Response, Sample


@dataclass(frozen=True)
class Records:
    """Responses, judgements that came with them, and images, by (sample id, index)."""

    responses: dict[Key, Response]
    judgements: dict[Key, Judgement]
    images: dict[Key, ImageHandle]

    def image(self, response: Response) -> ImageHandle:
        """The image of a response, where it lies."""
        return self.images[response.sample_id, response.index]

    def fingerprint(self) -> str:
        """A hash of all that was answered."""
        digest = hashlib.sha256()
        for key, response in self.responses.items():
            judged = self.judgements.get(key)
            content = [*key, response.text, response.image, judged.data if judged else None]
            digest.update(json.dumps(content, sort_keys=True).encode())
        return digest.hexdigest()[:16]


def records_of(evaluator: Evaluator, rows: ScoredRows, answers: Answers, progress: Progress) -> Records:
    """The records of all answers; every image is read once, and one that cannot be read is a response with an error.

    Raises HermesError for ids that no row has and for judgements of another form than the evaluator's.
    """
    names = rows.matched(answers)
    samples = {sample.id: sample for sample in rows.data.samples}
    prompts = {name: hashlib.sha256(sample.prompt.encode()).hexdigest() for name, sample in samples.items()}
    records = Records({}, {}, {})
    progress.start("read answers", len(answers.given))
    for answer in answers.given:
        key = (names[answer.id], answer.index)
        content = _content(answer)
        records.responses[key] = Response(
            sample_id=key[0], index=key[1], seed=0, prompt_sha256=prompts[key[0]], **content
        )
        if answer.image is not None:
            records.images[key] = answer.image
        if answer.judgement is not None:
            records.judgements[key] = _judgement(evaluator, samples[key[0]], answer)
        progress.advance()
    return records


def _content(answer: Given) -> dict[str, Any]:
    if answer.image is None:
        return {"text": answer.text}
    try:
        return {"image": answer.image.sha256()}
    except ImageError as error:
        return {"status": "error", "error": str(error)}


def _judgement(evaluator: Evaluator, sample: Sample, answer: Given) -> Judgement:
    try:
        content: dict[str, Any] = {"data": evaluator.read_judgement(sample, answer.judgement or {})}
    except JudgeError as error:
        content = {"error": str(error)}
    except HermesError as error:
        raise HermesError(f"{answer.where}: the judgement cannot be read: {error}") from None
    return Judgement(sample_id=sample.id, index=answer.index, judge=GIVEN, **content)
