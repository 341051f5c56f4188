"""Processes that do not see one run folder are told so, all of them, before anything is asked or drawn."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import on_processes

from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.run import shared
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.shared import meet_in
from hermes.harness.system.disk import make_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PATIENCE", 0.5)


def judged(model: str, runs: Path) -> Any:
    return evaluate(EvalSettings(model=model, tasks=("pope",), limit=2, device="cpu", runs=runs))


def played(model: str, runs: Path) -> Any:
    return align(AlignSettings(model=model, items=4, rounds=1, eval_limit=2, device="cpu", runs=runs))


def apart(work: Callable[[str, Path], Any], home: Path) -> None:
    """Each process has --runs of its own, as two nodes have whose disks are mounted at one place."""
    rank = current().rank
    with pytest.raises(HermesError) as raised:
        work("hermes-tiny", home / f"node-{rank}")
    (home / f"said.{rank}").write_text(str(raised.value))


@pytest.mark.parametrize("work", [judged, played])
def test_runs_that_are_not_shared_end_in_one_line(work: Callable[[str, Path], Any], tmp_path: Path) -> None:
    on_processes(2, apart, work, tmp_path)
    said = [(tmp_path / f"said.{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "\n" not in said[0]
    told = re.fullmatch(
        r"the processes do not share one run folder: what process 0 writes to (\S+) of \S+ is not in (\S+) of \S+; "
        "give --runs a folder that all nodes share, and the same model, data and version to all",
        said[0],
    )
    assert told, said[0]
    first, second = (Path(place).relative_to(tmp_path).parts for place in told.groups())
    assert (first[0], second[0]) == ("node-0", "node-1")
    assert first[1:] == second[1:]
    assert not list(tmp_path.rglob("responses.*"))
    assert not list(tmp_path.rglob("*.part"))


def late(folder: Path) -> None:
    """Process 1 finds the mark at its third look, as on a file system that is behind."""
    looks = list[Path]()
    real = Path.exists

    def behind(self: Path, **named: Any) -> bool:
        if self.parent == folder:
            looks.append(self)
        return real(self, **named) and len(looks) > 2

    if current().main:
        make_folder(folder)
    else:
        Path.exists = behind  # type: ignore[method-assign]
    meet_in(folder)
    if not current().main:
        assert len(looks) == 3


def test_a_mark_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    on_processes(2, late, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
