"""Where the answers of one task of a run lie, and the keys under which they are found there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hermes.harness.records.keys import config_mark, request_key
from hermes.harness.records.seeds import answer_seed
from hermes.harness.records.stored_samples import samples_path
from hermes.harness.records.types import GenerationConfig, Result
from hermes.harness.run.stores import SPEC
from hermes.harness.run.view import RUN
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.read import Run

UNTOLD = (HermesError, KeyError, TypeError, AttributeError, ValidationError)
"""What comes of files that are not there, or do not say where answers are."""


@dataclass(frozen=True)
class TaskFiles:
    """The files of one task's answers, which may not be there (yet), and what their keys are made of.

    ``by_content``: the pictures that were asked about are known by content, so that others in their place are noticed.
    """

    evaluator: str
    config: GenerationConfig
    store: Path
    scores: Path
    samples: Path
    judgements: Path | None = None
    by_content: bool = False

    def key(self, sample_id: str, index: int, asked: str) -> str:
        """The key of an answer; ``asked`` is the sample's: another prompt or picture has another answer."""
        seed = answer_seed(self.config.seed, self.evaluator, sample_id, index)
        return request_key(sample_id, index, seed, bytes.fromhex(asked), self._mark)

    @cached_property
    def _mark(self) -> bytes:
        return config_mark(self.config)


def stored_files(run: Run, task: str) -> TaskFiles | None:
    """The files of a task of a finished run; None where nothing says where they are."""
    try:
        return told_files(run.path, read_json(run.path / SPEC), task, run.results[task])
    except UNTOLD:
        return None


def told_files(folder: Path, spec: Mapping[str, Any], task: str, result: Result | None) -> TaskFiles | None:
    """What run.json says, which a finished run has; None where it says nothing of the task.

    Raises one of UNTOLD where it or the ``spec`` is not what a run has written.
    """
    path = folder / RUN
    if not path.exists():
        return None
    content = read_json(path)
    told = content["tasks"].get(task)
    if told is None:
        return None
    root = (folder / content["root"]).resolve()
    places = {what: root / place for what, place in told.items()}
    asked = spec["tasks"][task]
    return TaskFiles(
        asked_by(task, asked, result)[0],
        GenerationConfig.model_validate(asked["config"]),
        places["answers"],
        places["scores"],
        samples_path(places["answers"], result.data.fingerprint if result else asked["data"]),
        places.get("judgements"),
        by_content=result is not None and not result.data.pinned,
    )


def asked_by(task: str, asked: Mapping[str, Any], result: Result | None) -> tuple[str, str]:
    """Name and version that seeds and stores go by: the evaluator's, or those of the one whose answers it looks at.

    ``asked`` is what the run's spec says of the task.
    """
    other = asked.get("answers_of", {})
    own = result.evaluator if result else task.partition("@")[0]
    return other.get("task", own), other.get("version") or asked.get("version", "")
