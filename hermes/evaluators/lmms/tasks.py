"""Tasks of lmms-eval by name: found and built by its own TaskManager; whatever is wrong is said in one line."""

import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hermes.harness.system.errors import HermesError

MODEL_NAME = "hermes"
SEED, NUMPY_SEED, FEWSHOT_SEED = 0, 1234, 1234
SHOWN = 12


@contextmanager
def as_lmms_eval() -> Iterator[None]:
    """Run lmms-eval's code as its own command would, and leave no trace.

    Python's and numpy's generators start at its seeds (evaluator.py), truncated images are read (api/task.py), and what
    tasks print goes to stderr; all of it is put back afterwards.
    """
    os.environ.setdefault("LOGURU_LEVEL", "WARNING")
    import numpy as np
    from PIL import ImageFile

    truncated, states = ImageFile.LOAD_TRUNCATED_IMAGES, (random.getstate(), np.random.get_state())
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        random.seed(SEED)
        np.random.seed(NUMPY_SEED)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
        random.setstate(states[0])
        np.random.set_state(states[1])


def task_version(task: Any) -> str:
    return f"lmms-eval {version('lmms_eval')}, task {task.VERSION}"


@dataclass(frozen=True)
class Found:
    """A task by its name: the index that knows it, its YAML file, and what that says, functions by their names."""

    where: str
    name: str
    manager: Any
    yaml: Path
    config: Mapping[str, Any]


def find_task(reference: str) -> Found:
    """The task "NAME", or "FOLDER:NAME" whose YAML lies in a folder of one's own; nothing of it is run or loaded.

    Raises HermesError for unknown names, for groups and tags, and for kinds of task that a Hermes model cannot answer.
    """
    folder, _, name = reference.rpartition(":")
    if folder and not Path(folder).is_dir():
        raise HermesError(f"lmms:{reference}: there is no folder {folder}; give lmms:NAME or lmms:FOLDER:NAME")
    where = f"lmms:{name}"
    with as_lmms_eval():
        from lmms_eval.utils import load_yaml_config

        try:
            manager = _manager(folder)
        except Exception as error:
            raise HermesError(f"{where}: the task files cannot be read ({reason(error)}); fix them") from None
        entry = manager.task_index.get(name)
        if entry is None:
            raise HermesError(_unknown(name, folder, manager.all_tasks))
        config = {} if entry["yaml_path"] == -1 else load_yaml_config(entry["yaml_path"], mode="simple")
        if entry["type"] in ("group", "tag"):
            members = entry["task"] if entry["type"] == "tag" else config["task"]
            raise HermesError(f"{where} stands for several tasks; give them one by one: {_names(members, folder)}")
        _refuse_other_kinds(where, config)
    return Found(where, name, manager, Path(str(entry["yaml_path"])), config)


def build_task(found: Found) -> Any:
    """The ``ConfigurableTask`` of a name. Raises HermesError for one that cannot be built, as for want of its data."""
    with as_lmms_eval():
        from lmms_eval.api.task import ConfigurableTask

        try:
            task = found.manager.load_task_or_group(found.name)[found.name]
        except Exception as error:
            raise HermesError(
                f"{found.where}: lmms-eval cannot build this task ({reason(error)}); "
                "see to its data set, its packages and its keys"
            ) from None
        if not isinstance(task, ConfigurableTask):
            raise HermesError(
                f"{found.where} is a {type(task).__name__}; only tasks that a YAML file defines can be run"
            )
        _refuse_other_kinds(found.where, {"output_type": task.OUTPUT_TYPE})
        if task.config.num_fewshot is None:
            task.set_config("num_fewshot", 0)
        return task


@cache
def _manager(folder: str) -> Any:
    """The index of the tasks in a folder, or of all that come with lmms-eval, which takes seconds to read."""
    from lmms_eval.tasks import TaskManager

    return TaskManager("WARNING", include_path=folder or None, include_defaults=not folder, model_name=MODEL_NAME)


def reason(error: BaseException) -> str:
    """The first line of what went wrong, below the retries that lmms-eval wraps around it."""
    attempt = getattr(error, "last_attempt", None)
    cause = (attempt.exception() if attempt is not None else None) or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def _refuse_other_kinds(where: str, config: Mapping[str, Any]) -> None:
    kind = config.get("output_type") or "generate_until"
    if kind != "generate_until":
        raise HermesError(
            f"{where} is a task of the kind {kind}; Hermes models answer tasks of the kind generate_until only"
        )
    if (config.get("dataset_kwargs") or {}).get("video"):
        raise HermesError(f"{where} shows videos; Hermes models look at images, choose another task")


def _unknown(name: str, folder: str, known: list[str]) -> str:
    if folder:
        return f"lmms:{folder}:{name}: the folder defines no task {name!r}; it defines {', '.join(known) or 'none'}"
    near = get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see lmms-eval tasks list"
    return f"lmms-eval has no task {name!r}; {hint}"


def _names(members: list[Any], folder: str) -> str:
    """The members as task names, those of one's own folder with it."""
    named = [member if isinstance(member, str) else member.get("task") or member.get("group") for member in members]
    texts = [f"lmms:{folder}:{name}" if folder else f"lmms:{name}" for name in named]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
