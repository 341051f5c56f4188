"""What trackers were told: the points in TensorBoard's files, and a stand-in for Weights & Biases."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader


def points(folder: Path) -> dict[str, dict[int, float]]:
    """Each figure's value at each step, as TensorBoard shows it. A step that is there twice is an error.

    TensorBoard reads files by name, and names begin with a second: those of one second are put into their order here.
    """
    with TemporaryDirectory() as ordered:
        for place, file in enumerate(sorted(folder.glob("*tfevents*"), key=_started)):
            shutil.copy(file, Path(ordered) / f"events.out.tfevents.{place:06d}")
        told = EventAccumulator(ordered).Reload()
    found = {}
    for name in told.Tags()["scalars"]:
        events = told.Scalars(name)
        found[name] = {event.step: event.value for event in events}
        assert len(found[name]) == len(events), name
    return found


def _started(file: Path) -> float:
    first: float = next(EventFileLoader(str(file)).Load()).wall_time
    return first


class Wandb:
    """Keeps what runs are told, by id; like the real one it goes on at a run's next step and ignores those before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: dict[str, dict[int, Mapping[str, float]]] = {}
        self.ignored = self.active = 0
        owner, module = self, ModuleType("wandb")
        module.login = lambda: True  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "wandb", module)

        class Tracker(GeneralTracker):
            name, requires_logging_directory, main_process_only = "wandb", False, False

            def __init__(self, run_name: str, id: str, resume: str, name: str) -> None:
                super().__init__()
                assert (resume, name.endswith(id)) == ("allow", True)
                self.id = id

            def start(self) -> None:
                owner.active += 1
                assert owner.active == 1, "wandb.init gives the run that is open, whatever is asked for"
                self.steps = owner.runs.setdefault(self.id, {})

            @property
            def tracker(self) -> Any:
                return SimpleNamespace(step=max(self.steps, default=-1) + 1)

            def store_init_configuration(self, values: dict[str, Any]) -> None: ...

            def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
                assert step is not None
                if step <= max(self.steps, default=-1):
                    owner.ignored += 1
                else:
                    self.steps[step] = values

            def finish(self) -> None:
                owner.active -= 1

        known = [*tracking.get_available_trackers(), "wandb"]
        monkeypatch.setattr(tracking, "_available_trackers", known)
        monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Tracker)
