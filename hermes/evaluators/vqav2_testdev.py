"""VQAv2 test-dev: the questions that papers report, whose answers only the evaluation server has.

Paper: Goyal et al. 2017, "Making the V in VQA Matter" (arXiv:1612.00837). Licence: CC BY 4.0 (questions).
Data: lmms-lab/VQAv2, split testdev, 107,394 questions about COCO test2015 images, without answers.
Prompt: the question, then the short-answer line.

There is nothing to score here: a run ends with submission.json, ``[{"question_id", "answer"}]`` for every question,
which the EvalAI server of the VQA challenge takes. The answers are rewritten as LLaVA does before it submits
(llava/eval/m4c_evaluator.py at c121f04): lower case, every comma and question mark deleted (so "red,white" becomes
"redwhite"), "'s" split off, and then VQAv2's normaliser as lmms-eval has it. A question without an answer is submitted
with an empty one. Scores hold no values and the result no metrics, so the benchmark is in no gap and in no mean.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hermes.evaluators.vqa_text import clean, normalise
from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.contracts.benchmark import Answer, Row, Scored
from hermes.harness.contracts.fields import text
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.records.images import image_handle
from hermes.harness.records.types import Metric, Sample, Score
from hermes.harness.system.errors import HermesError

COLUMNS = ("question_id", "image_id", "question", "image")


def submitted(reply: str) -> str:
    """The answer as it is sent to the server."""
    words = reply.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return normalise(clean(words), "lmms-eval")


class VQAv2TestDev(VQAv2):
    """No metrics; submission.json is for the evaluation server."""

    name = "vqav2-testdev"
    version = "1"
    title = "VQAv2 test-dev"
    data = replace(VQAv2.data, split="testdev", n=107394, columns=COLUMNS, scored=("question_id",))
    protocols = ("official",)
    standard = False

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"{self.name} question {row['question_id']}"
            try:
                number = int(row["question_id"])
            except (TypeError, ValueError):
                raise HermesError(f"{where}: question_id must be a whole number; fix the row") from None
            yield Sample(
                id=str(number),
                group_id=str(row["image_id"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                metadata={"question_id": number},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        said = submitted(answer.response.text or "")
        return Score(
            sample_id=answer.sample.id,
            index=answer.response.index,
            group_id=answer.sample.group_id,
            prediction=said,
            reason="" if said else "the answer is empty",
            status="scored" if said else "unparsed",
        )

    def submission(self, scored: Iterable[Scored]) -> list[dict[str, Any]]:
        """One answer a question, in the order of the data."""
        said = {sample.metadata["question_id"]: score.prediction or "" for sample, score in scored}
        return [{"question_id": number, "answer": answer} for number, answer in said.items()]

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> None:
        return None
