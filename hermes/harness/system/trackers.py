"""Figures to accelerate's trackers, TensorBoard and Weights & Biases among them; none is imported unless asked for.

A folder's figures belong to one run of each tracker, whose name the folder keeps, so that a command that goes on writes
no point twice.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

Log = Callable[[Mapping[str, Any], int], None]
EVAL, ALIGN = "hermes-eval", "hermes-align"
"""The names of the projects, and of the folders in which TensorBoard's files lie."""
NAME = "run"
ODD = re.compile(r"[^-/\w.]")


def check_trackers(trackers: Sequence[str]) -> None:
    """Raise HermesError for a tracker that accelerate does not know, that is not installed or wants a log-in.

    accelerate itself only warns, and nothing would be tracked.
    """
    if not trackers:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    here = {str(one) for one in get_available_trackers()}
    for name in trackers:
        if name not in map(str, LOGGER_TYPE_TO_CLASS):
            raise HermesError(f"trackers: accelerate knows no {name!r}; choose from {', '.join(LOGGER_TYPE_TO_CLASS)}")
        if name not in here:
            raise HermesError(f"trackers: {name!r} is not installed; pip install {name}")
    if "wandb" in trackers and current().main:
        import wandb

        with _starting("wandb", "run `wandb login`, or set WANDB_MODE=offline"):
            wandb.login()


@contextmanager
def tracking(
    trackers: Sequence[str],
    project: str,
    folder: Path,
    config: Mapping[str, Any],
    cpu: bool,
    first: int = 0,
    of: str = "",
) -> Iterator[Log]:
    """A function that notes the numbers among figures at a step, with every tracker, while the block lasts.

    In all processes but the main one, and without trackers, it does nothing. ``first`` is the first step that will be
    noted: what TensorBoard has from there on is of a command that was killed, and hidden. Weights & Biases takes each
    step of a run once; ``of`` is added to the name of its run, where other figures at the same step are another run.
    ``cpu`` is whether the model is on the CPU. Raises HermesError for a tracker that does not start.
    """
    if not trackers or not current().main:
        yield lambda figures, step: None
        return
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState(cpu=cpu)  # accelerate's own logging asks for it
    own, known = _name(folder / project)
    run = f"{own}-{of}" if of else own
    extra: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": first},
        "wandb": {"id": run, "resume": "allow", "name": f"{'/'.join(folder.parts[-3:])} {run}"},
    }
    started: list[tuple[Any, int]] = []
    try:
        for name in dict.fromkeys(trackers):
            with _starting(name, "leave it out of trackers, or mend it and run the same command again"):
                kind = LOGGER_TYPE_TO_CLASS[name]
                place = (folder,) if kind.requires_logging_directory else ()
                tracker = kind(project, *place, **extra.get(name, {}))
                tracker.start()
                started.append((tracker, tracker.tracker.step if name == "wandb" else 0))
                if name == "wandb" or not known:
                    tracker.store_init_configuration({key: _plain(value) for key, value in config.items()})

        def log(figures: Mapping[str, Any], step: int) -> None:
            for tracker, new in started:
                if step >= new:
                    tracker.log(_numbers(figures), step=step)

        yield log
    finally:
        for tracker, _ in started:
            tracker.finish()


def _name(home: Path) -> tuple[str, bool]:
    """The name of the run that a folder's figures belong to, and whether it had one."""
    path = home / NAME
    known = path.is_file()
    if not known:
        write_atomic(path, secrets.token_hex(6) + "\n")
    return path.read_text(encoding="utf-8").strip(), known


def _numbers(figures: Mapping[str, Any]) -> dict[str, int | float]:
    """Those that are numbers, under names that every tracker takes."""
    return {
        ODD.sub("_", name): value
        for name, value in figures.items()
        if isinstance(value, int | float) and value == value
    }


@contextmanager
def _starting(name: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each tracker raises its own kinds
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise HermesError(f"trackers: {name} does not start ({reason.rstrip('.')}); {remedy}") from None


def _plain(value: Any) -> int | float | str | bool:
    return value if isinstance(value, int | float | str | bool) else str(value)
