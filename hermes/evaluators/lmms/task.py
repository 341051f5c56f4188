"""Any task of lmms-eval: its documents, prompts, pictures and scorers, on Hermes' runner.

``--tasks lmms:NAME`` is a task that comes with lmms-eval, ``lmms:FOLDER:NAME`` one whose YAML lies in FOLDER (there
NAME may be one that lmms-eval has too; no comma and no "@" in FOLDER). The task is built by lmms-eval's TaskManager for
the model name "hermes", which gets each task's default prompt. Its data set is its own, whatever --data says.

What is asked: the few-shot context and doc_to_text of each document, its visuals, and max_new_tokens, temperature,
do_sample and top_k of generation_kwargs; ``repeats`` answers a document. Answers are stored as the model gave them.
What is scored: each answer up to the first ``until`` string, through the task's filters, process_results and
aggregation. `lmms-eval --model hermes` asks the same with the same seeds, so that both give the same numbers.

Differences from lmms-eval's own run: scoring starts from lmms-eval's seeds each time, so that tasks that draw letters
give the same number twice; a document that process_results cannot read, or for which a task asked its judge in vain
(`watching`), is an error, counted and in no mean, and stops nothing; metrics have 95 % intervals where they are plain
means and no standard errors elsewhere; whether a higher value is better is the task's affair, and its metrics are in no
gap, as nobody knows what chance scores.

Tasks whose scorers look at pictures are those of `drawn`.
"""

from collections.abc import Iterable, Iterator

from hermes.evaluators.lmms.documents import Documents, document
from hermes.evaluators.lmms.drawn import DrawnTask
from hermes.evaluators.lmms.requests import generation_config
from hermes.evaluators.lmms.scorer import scorer_of
from hermes.evaluators.lmms.scoring import Outcome, metric_key, numbers, outcomes
from hermes.evaluators.lmms.tasks import as_lmms_eval, build_task, find_task, task_version
from hermes.evaluators.lmms.watching import watched
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator
from hermes.harness.records.types import Score
from hermes.harness.system.errors import HermesError


class LmmsTask(Documents):
    """One task of lmms-eval; `make` gives it the name, data, settings and metrics that the task has."""

    asks_to_score = True

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of "NAME" or "FOLDER:NAME"; builds the task, which loads its data set."""
        if not argument:
            raise HermesError(
                "task 'lmms' needs a name of lmms-eval's: give lmms:NAME, or lmms:FOLDER:NAME for your own"
            )
        found = find_task(argument)
        scorer, task = scorer_of(found), build_task(found)
        of_task = {
            "task": task,
            "name": f"lmms:{task.config.task}",
            "version": task_version(task),
            "title": f"{task.config.task} (lmms-eval)",
            "data": DataSpec(hub="", split="", n=len(task.eval_docs), columns=(), ungrouped=True),
        }
        if scorer.draws:
            return DrawnTask.of(of_task, argument, scorer)
        first = next(iter(task.aggregation()), "none")
        of_task |= {
            "config": generation_config(task.config.generation_kwargs or {}, task.config.repeats or 1),
            "headline": metric_key(task, first, task._filters[0].name),
        }
        bound: type[Evaluator] = type(cls.__name__, (cls,), of_task)
        return bound()

    def score(self, answer: Answer, protocol: str) -> Score:
        return next(self.scores([answer], protocol))

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        """A document's first score holds what the task says of all its answers; if one is missing, it is an error.

        The task's filters look at all answers at once.
        """
        answers = list(answers)
        replies: dict[int, list[str]] = {}
        for answer in answers:
            replies.setdefault(document(answer), []).append(answer.response.text or "")
        whole = [number for number, texts in replies.items() if len(texts) >= self.config.num_images]
        with as_lmms_eval(), watched() as heard:
            said = outcomes(self.task, whole, [replies[number] for number in whole], heard, self.tags)
        found = dict(zip(whole, said, strict=True))
        missing = f"not all {self.config.num_images} answers are there"
        for answer in answers:
            yield self._score(answer, found.get(document(answer), missing))

    def _score(self, answer: Answer, found: Outcome | str) -> Score:
        score = Score(sample_id=answer.sample.id, index=answer.response.index, group_id=answer.sample.group_id)
        if isinstance(found, str):
            return score.model_copy(update={"status": "error", "reason": found})
        if score.index > 0:
            return score
        return score.model_copy(update={"prediction": found, "values": numbers(self.task, found)})


def _document(answer: Answer) -> int:
    return int(answer.sample.metadata["doc_id"])
