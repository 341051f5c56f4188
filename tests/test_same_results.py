"""One command, one result: whatever the batch size, the number of processes, and however often it was killed."""

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
from stored import answers, environments, place

LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
DEFAULTS = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
STEMS = ("responses", "judgements")
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

    def begin(
        folder: Path, *more: str, launcher: tuple[str, ...] = (), slow: bool = False, log: str = ""
    ) -> "subprocess.Popen[str]":
        command = (sys.executable, *launcher, "-m", "hermes", "eval", "--model", case.model, *case.arguments)
        return subprocess.Popen(
            (*command, "--device", "cpu", "--out", str(folder), *more),
            env={
                **environment,
                "THEIRS_SECONDS": "0.25" if slow else "0",
                "THEIRS_LOG": log,
                "THEIRS_PROCESSES": "2" if launcher else "1",
            },
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
    (tmp_path / "log").mkdir()
    finish(start(tmp_path / "run", launcher=(*LAUNCH, *DEFAULTS), log=str(tmp_path / "log")))
    assert [entry["processes"] for entry in environments(tmp_path / "run") if "processes" in entry] == [2]
    journals = [path for stem in STEMS for path in (tmp_path / "run").rglob(f"{stem}.?.jsonl")]
    assert len(journals) > 3
    assert {path.name.split(".")[1] for path in journals} == {"0", "1"}
    assert (tmp_path / "run" / "results.json").read_bytes() == undisturbed


@pytest.mark.parametrize("case", [THEIRS], indirect=True, scope="module", ids=["theirs"])
def test_no_work_is_done_by_both_of_two_processes(start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    """Counted where it is done: no answer and no judgement is asked for twice, and both have asked for some."""
    (tmp_path / "log").mkdir()
    finish(start(tmp_path / "run", "--batch-size", "4", launcher=(*LAUNCH, *DEFAULTS), log=str(tmp_path / "log")))
    for who, total in (("model", 24 + 30), ("judge", 30)):
        shares = [path.read_text().split() for path in (tmp_path / "log").glob(f"{who}.*")]
        assert len(shares) == 2
        assert sum(map(len, shares)) == total
        assert len({key for share in shares for key in share}) == total
    assert [path.read_text() for path in (tmp_path / "log").glob("end.*")] == ["closed"] * 2
    assert (tmp_path / "run" / "results.json").read_bytes() == undisturbed


@pytest.mark.parametrize("case", [THEIRS], indirect=True, scope="module", ids=["theirs"])
def test_two_processes_share_what_is_left(start: Start, undisturbed: bytes, tmp_path: Path) -> None:
    """Of a run with answers of one process, lost pictures and damaged lines; all of it is asked once more, and once."""
    folder, log = tmp_path / "run", tmp_path / "log"
    finish(start(folder, "--batch-size", "5"))
    log.mkdir()
    text = place(folder, "theirs") / "responses.0.jsonl"
    whole = text.read_bytes().splitlines(keepends=True)
    text.write_bytes(b"".join(whole[:11]) + b"{}\n" + b"".join(whole[12:20]))
    picture, *_ = sorted((place(folder, "theirs-drawing") / "media").iterdir())
    drawn = [one for one in answers(folder, "theirs-drawing").values() if one.image == picture.stem]
    picture.write_bytes(b"torn")
    judgements = place(folder, "theirs-drawing", "judgements") / "judgements.0.jsonl"
    judgements.unlink()
    finish(start(folder, launcher=(*LAUNCH, *DEFAULTS), log=str(log)))
    asked = [path.read_text().split() for path in log.glob("model.*")]
    again = [key for share in asked for key in share]
    assert len(again) == len(set(again))
    assert {one.key for one in drawn} & set(again)
    assert set(again) <= {one.key for one in drawn} | {one.key for one in answers(folder, "theirs").values()}
    assert [bool(share) for share in asked] == [True, True]
    assert (folder / "results.json").read_bytes() == undisturbed


@pytest.mark.parametrize("case", [THEIRS], indirect=True, scope="module", ids=["theirs"])
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
    return sum(lines(path) for stem in STEMS for path in folder.rglob(f"{stem}.*.jsonl"))


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
