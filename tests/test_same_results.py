"""One command, one result: whatever the batch size, the number of processes, and however often it was killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
DEFAULTS = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
WEIGHTS = Path(__file__).parents[1] / "hermes" / "harness" / "models" / "tiny" / "weights"


@dataclass(frozen=True)
class Case:
    """A model and a short command for it; ``kills`` are the numbers of stored lines at which it is killed."""

    model: str
    arguments: tuple[str, ...]
    kills: tuple[int, ...]


THEIRS = Case("theirs", ("--tasks", "theirs,theirs-drawing"), (0, 1, 13, 30, 54))
TINY = Case("hermes-tiny", ("--tasks", "homologous-u,homologous-g,geneval", "--limit", "3"), (0, 1, 25))


@pytest.fixture(scope="module", params=(THEIRS, TINY), ids=lambda case: case.model)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    if chosen.model == "hermes-tiny" and not (find_spec("torch") and any(WEIGHTS.glob("*.safetensors"))):
        pytest.skip("the weights of hermes-tiny are not in the package")
    return chosen


@pytest.fixture(scope="module")
def start(case: Case, environment: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """`start(folder, *more)` begins the case's eval; with ``slow`` their model takes its time, to be killed in."""

    def begin(folder: Path, *more: str, launcher: tuple[str, ...] = (), slow: bool = False) -> "subprocess.Popen[str]":
        command = (sys.executable, *launcher, "-m", "hermes", "eval", "--model", case.model, *case.arguments)
        return subprocess.Popen(
            (*command, "--device", "cpu", "--out", str(folder), *more),
            env={**environment, "THEIRS_SECONDS": "0.25" if slow else "0"},
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


Start = Callable[..., "subprocess.Popen[str]"]


def finish(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def undisturbed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of results.json of a run in batches of 64 that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(start(folder, "--batch-size", "64"))
    return (folder / "results.json").read_bytes()


def test_the_batch_size_changes_nothing(start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    finish(start(tmp_path / "run", "--batch-size", "1"))
    assert (tmp_path / "run" / "results.json").read_bytes() == undisturbed


def test_two_processes_share_the_work_and_change_nothing(start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    finish(start(tmp_path / "run", launcher=(*LAUNCH, *DEFAULTS)))
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2
    for task in (tmp_path / "run").glob("*/responses.0.jsonl"):
        mine, other = (len(task.with_name(f"responses.{rank}.jsonl").read_bytes().splitlines()) for rank in (0, 1))
        assert 0 <= mine - other <= 1
    assert (tmp_path / "run" / "results.json").read_bytes() == undisturbed


def test_kills_change_nothing(case: Case, start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for lines in case.kills:
        kill_at(start(folder, "--batch-size", "4", slow=True), folder, lines)
        assert not (folder / "results.json").exists()
    finish(start(folder))
    assert (folder / "results.json").read_bytes() == undisturbed


@pytest.mark.parametrize("case", [THEIRS], indirect=True, scope="module", ids=["theirs"])
def test_two_killed_processes_are_followed_by_one(start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kill_at(start(folder, "--batch-size", "4", launcher=(*LAUNCH, *DEFAULTS), slow=True), folder, 13)
    finish(start(folder, "--batch-size", "3"))
    assert (folder / "results.json").read_bytes() == undisturbed


def kill_at(process: "subprocess.Popen[str]", folder: Path, lines: int) -> None:
    """SIGKILL to the process and all below it as soon as the folder holds that many lines of answers and judgements."""
    while not folder.exists() or written(folder) < lines:
        assert process.poll() is None, f"ended before it wrote {lines} lines: {process.communicate()[1]}"
        time.sleep(0.002)
    top = psutil.Process(process.pid)
    family = [top, *top.children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family[1:], timeout=60)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def written(folder: Path) -> int:
    journals = [path for stem in ("responses", "judgements") for path in folder.glob(f"*/{stem}.*.jsonl")]
    return sum(path.read_bytes().count(b"\n") for path in journals)
