"""Tasks of lmms-eval whose scorers look at pictures: Hermes draws, and the task's own scorer judges what was drawn.

Such a scorer expects JSON, {"text": ..., "images": [path]}. The prompt is the task's doc_to_text; where its documents
show pictures these are to be changed, which only models that edit can do; where its scorer reads the text, too, the
model is asked for both. Settings are the model's own: those of generation_kwargs are meant for texts.

What process_results says of a picture is stored as a judgement, so that its judge is asked once, and again only where
it failed. lmms-eval gives 0 for a picture that is missing and for a judge that failed. Here the first never comes to
the scorer, and `watching` hears the second: both are errors, counted and in no mean. A reply that the scorer gave up
reading keeps the value that the task gives it, and is counted as unparsed. A metric of which no document says anything
is left out, where lmms-eval prints 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hermes.evaluators.lmms.documents import Documents, document
from hermes.evaluators.lmms.judge import Prediction, TaskScorer
from hermes.evaluators.lmms.requests import pictures
from hermes.evaluators.lmms.scorer import Scorer
from hermes.evaluators.lmms.scoring import Outcome, metric_key, numbers
from hermes.evaluators.lmms.tasks import as_lmms_eval
from hermes.harness.contracts.benchmark import Answer, Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.records.types import GenerationConfig, Score
from hermes.harness.system.errors import JudgeError

MAIN = ("overall", "avg")


class DrawnTask(Documents):
    """One task of lmms-eval that is answered with pictures; `of` gives it what the task has."""

    ability = "generation"
    judge_needs = "score"

    @classmethod
    def of(cls, of_task: Mapping[str, Any], reference: str, scorer: Scorer) -> Evaluator:
        """The evaluator of a task that was built, ``reference`` its name, or FOLDER:NAME."""
        task = of_task["task"]
        first = next((name for main in MAIN for name in task.aggregation() if main in name), "")
        found = {
            "config": GenerationConfig(),
            "headline": metric_key(task, first or next(iter(task.aggregation()), "none"), task._filters[0].name),
            "judge": f"lmms:{reference}",
            "edits": _shows_pictures(task),
            "interleaved": scorer.reads_text,
        }
        bound: type[Evaluator] = type(cls.__name__, (cls,), {**of_task, **found})
        return bound()

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """What the task's scorer says of each picture."""
        predictions = [Prediction(document(answer), answer.response.text or "", _file(answer)) for answer in answers]
        return cast(TaskScorer, judge).score(self.task, predictions, self.tags)

    def score(self, answer: Answer, protocol: str) -> Score:
        judgement = answer.judgement or {}
        found = Outcome(answer=answer.response.image, said=judgement["said"])
        unread = judgement["unread"]
        return Score(
            sample_id=answer.sample.id,
            index=answer.response.index,
            group_id=answer.sample.group_id,
            values=numbers(self.task, found),
            prediction=found,
            reason=unread or "",
            status="unparsed" if unread else "scored",
        )


def _shows_pictures(task: Any) -> bool:
    """Whether the first document shows pictures; one that fails to is one that would."""
    with as_lmms_eval():
        try:
            return bool(pictures(task.doc_to_visual(task.eval_docs[0]), f"lmms:{task.config.task} 0"))
        except Exception:  # a task's code may raise anything; the sample will say what
            return True


def _file(answer: Answer) -> Path:
    """Where the picture lies."""
    name = answer.image.name if answer.image else None
    if name is None:
        raise JudgeError("the picture lies in no file, and a task's scorer wants one")
    return Path(name).resolve()
