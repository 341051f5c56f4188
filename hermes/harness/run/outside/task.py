"""The task that answers from files are scored under: its protocol, its judge, and the task again from a run folder."""

from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.reasoning import read_tags
from hermes.harness.data.answers import Answers
from hermes.harness.data.geneval import geneval_folders, holds_results
from hermes.harness.data.official.gapeval import holds_verdicts
from hermes.harness.run.outside.rows import scored_rows
from hermes.harness.run.plan import Task, check_judge, judge_name, named_judges
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

GIVEN = "given"


def chosen_protocol(evaluator: Evaluator, wanted: str | None) -> str:
    """The protocol asked for, the evaluator's first where none is. Raises HermesError for one that it has not."""
    if wanted is not None and wanted not in evaluator.protocols:
        known = ", ".join(evaluator.protocols)
        raise HermesError(f"task {evaluator.name!r} has no protocol {wanted!r}; choose from {known}")
    return wanted or evaluator.protocols[0]


def data_source(evaluator: Evaluator, data: str | None, responses: Path) -> str:
    """Where the rows are: what was asked for, else the official layout that the answers lie in.

    Raises HermesError where they are nowhere.
    """
    if data is not None:
        return data
    if not responses.exists():
        raise HermesError(f"{responses} does not exist; give a file or folder of answers")
    if holds_verdicts(responses) or holds_results(responses) or (responses.is_dir() and geneval_folders(responses)):
        return str(responses)
    if evaluator.own_rows() is not None:
        return evaluator.name
    raise HermesError(f"task {evaluator.name!r} needs its rows; give --data FILE or FOLDER")


def check_kinds(evaluator: Evaluator, answers: Answers) -> None:
    """Raise HermesError for an answer of a kind or an index that the task has not."""
    if evaluator.interleaved:
        raise HermesError(
            f"task {evaluator.name!r} is answered with a text and a picture, of which answers from files have one; "
            "run it with hermes eval"
        )
    text = evaluator.ability == "understanding"
    for answer in answers.given:
        if text != (answer.text is not None) and not isinstance(evaluator, Chained):
            wanted = '"response" (text)' if text else '"image" or "judgement"'
            raise HermesError(f"{answer.where}: task {evaluator.name!r} is answered with {wanted}")
        if text and answer.index >= evaluator.config.num_images:
            most = evaluator.config.num_images - 1
            raise HermesError(
                f"{answer.where}: the highest index of task {evaluator.name!r} is {most}, not {answer.index}"
            )
    judged = next((answer for answer in answers.given if answer.judgement is not None), None)
    shown = next((answer for answer in answers.given if answer.image is not None), None)
    if judged and shown:
        raise HermesError(
            f"{judged.where} holds a judgement and {shown.where} an image, which would be judged differently; "
            "score them apart"
        )


def chosen_judge(evaluator: Evaluator, answers: Answers, wanted: str | None, shapes: bool) -> str | None:
    """The judge of the images, "given" where the answers bring judgements, None where nothing is judged.

    Raises HermesError for a judge that is unknown or lacks something.
    """
    if any(answer.judgement is not None for answer in answers.given):
        return GIVEN
    judge = judge_name(evaluator, named_judges(wanted), "shapes" if shapes else "real")
    if judge:
        check_judge(judge)
    return judge


def stored_task(settings: EvalSettings, spec: dict[str, Any]) -> Task:
    """The task of a run folder of scored files, for scoring it again under ``settings.protocol``."""
    (name,) = settings.tasks
    evaluator = registry.evaluator(name)
    evaluator.tags = read_tags(settings.reasoning_tags)
    chosen_protocol(evaluator, settings.protocol)
    data = scored_rows(evaluator, settings.data or "").data
    return Task(name, evaluator, {}, data, spec["tasks"][name]["judge"])
