"""The scorer of a drawing task of lmms-eval as a judge: what it says is stored, and what failed is asked again."""

import hashlib
import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hermes.evaluators.lmms.scorer import scorer_of
from hermes.evaluators.lmms.scoring import Outcome, outcomes, plain
from hermes.evaluators.lmms.tasks import as_lmms_eval, find_task
from hermes.evaluators.lmms.watching import watched
from hermes.harness.contracts.reasoning import Tags
from hermes.harness.system.errors import HermesError, JudgeError

Said = dict[str, Any]


class Prediction(NamedTuple):
    """What a model answered to a document: a text, "" where none was asked for, and the file of a picture."""

    document: int
    text: str
    picture: Path


class TaskScorer:
    """process_results of one task. Which judge it asks in turn its own variables of the environment say."""

    description: ClassVar[str] = "a drawing task's own scorer; lmms:NAME is judged by it, whatever --judge says"
    extra: ClassVar[str | None] = "lmms"
    packages: ClassVar[tuple[str, ...]] = ("lmms_eval",)
    abilities: ClassVar[tuple[str, ...]] = ("score",)
    needs_model: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False

    def __init__(self, task: str, identity: str) -> None:
        self.task, self.identity = task, identity
        self._heard: dict[Prediction, Said] = {}

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError where the task's judge needs a key and the environment has none."""
        keys = scorer_of(find_task(_named(argument))).keys
        if keys and not any(os.environ.get(key) for key in keys):
            raise HermesError(f"lmms:{argument} has its pictures judged by a server; set {' or '.join(keys)}")

    @classmethod
    def load(cls, argument: str | None, device: str) -> "TaskScorer":
        """The scorer of "lmms:<argument>". Its identity holds lmms-eval's version, its source and what it is told."""
        found = find_task(_named(argument))
        scorer = scorer_of(found)
        digest = hashlib.sha256(scorer.whole.encode()).hexdigest()[:8]
        told = "".join(f" {name}={value}" for name, value in scorer.settings.items())
        return cls(found.name, f"lmms-eval {version('lmms_eval')} {found.name} {digest}{told}")

    def score(self, task: Any, predictions: Sequence[Prediction], tags: Tags) -> list[Said]:
        """``{"said": {filter: {metric: value}}, "unread": why or None}`` of each prediction.

        Raises JudgeError at the first that fails; what was said of those before it is kept for when they come again.
        """
        if task.config.task != self.task:
            raise HermesError(f"judge 'lmms:{self.task}' cannot score lmms:{task.config.task}; leave --judge out")
        for one in predictions:
            if one not in self._heard:
                self._heard[one] = _said(task, one, tags)
        return [self._heard.pop(one) for one in predictions]


def _said(task: Any, one: Prediction, tags: Tags) -> Said:
    reply = json.dumps({"text": one.text, "images": [str(one.picture)]}, ensure_ascii=False)
    with as_lmms_eval(), watched() as heard:
        (outcome,) = outcomes(task, [one.document], [[reply]], heard, tags, drawn=True)
    if not isinstance(outcome, Outcome):
        raise JudgeError(outcome)
    if heard.error:
        raise JudgeError(f"the task's judge failed: {heard.error}")
    said = json.loads(json.dumps(plain(outcome.said)).replace(json.dumps(str(one.picture))[1:-1], one.picture.name))
    for each in said.values():
        for name, value in each.items():
            if isinstance(value, dict) and value.get("error"):
                raise JudgeError(f"the task says of {name}: {value['error']}")
    return {"said": said, "unread": heard.unread}


def _named(argument: str | None) -> str:
    if not argument:
        raise HermesError("judge 'lmms' is the scorer of a task, which brings it itself; leave --judge out")
    return argument
