"""A dry run refuses what the command refuses before its work begins, in the same words."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hermes.harness.models.tiny.adapter import TinyModel

Command = Callable[..., Any]
COMMANDS = (("eval", "--tasks", "geneval", "--limit", 1), ("align", "--items", 2, "-n", 2))


@pytest.fixture(params=COMMANDS, ids=lambda arguments: arguments[0])
def refused(request: pytest.FixtureRequest, command: Command) -> Callable[..., str]:
    """`refused(*arguments)`: why the command refuses them, with --dry-run and without."""

    def ask(*arguments: object) -> str:
        given = (*request.param, "--device", "cpu", *arguments)
        done, dry = command(*given), command(*given, "--dry-run")
        assert (done.code, dry.code, dry.out) == (2, 2, "")
        assert done.err.splitlines()[-1] == dry.err.splitlines()[-1]
        return str(dry.err)

    return ask


def test_a_tracker_that_nobody_knows(refused: Callable[..., str]) -> None:
    assert "trackers: accelerate knows no 'nope'" in refused("--trackers", "nope")


def test_an_option_that_the_model_does_not_take(refused: Callable[..., str]) -> None:
    assert "model 'hermes-tiny' does not support --dtype" in refused("--dtype", "bfloat16")


def test_weights_that_have_no_room(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TinyModel.load().save(tmp_path / "tiny")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3000, total=4000))
    assert "needs 10.0 MB for its weights, this machine has 3.0 KB free" in refused("--model", tmp_path / "tiny")


def test_a_folder_that_holds_something_else(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "mine is not empty and holds no spec.json of a run" in refused("--out", "mine")


@pytest.mark.parametrize("task", ["popo", "pope@guidance=2"])
def test_a_benchmark_beside_a_self_play_that_nobody_knows(task: str, command: Command) -> None:
    given = ("align", "--items", 2, "-n", 2, "--device", "cpu", "--eval-tasks", task)
    done, dry = command(*given), command(*given, "--dry-run")
    assert (done.code, dry.code) == (2, 2)
    assert done.err == dry.err
    assert task in done.err
