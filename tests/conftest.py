"""What tests share: a third-party package with plug-ins, and the command line in this process and in another."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from hermes import cli
from hermes.harness.models.detect import model_class
from hermes.harness.records.types import Request
from hermes.harness.system import hub, registry, text

# The same examples every time, and no clock: a loaded machine must not turn a right answer into a failure.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

ENTRY_POINTS = """
[hermes.evaluators]
theirs = theirs.benchmark:Theirs
theirs-drawing = theirs.drawing:TheirDrawing

[hermes.models]
theirs = theirs.model:TheirModel

[hermes.judges]
theirs-judge = theirs.drawing:TheirJudge
theirs-coin = theirs.coin:Coin
"""


@pytest.fixture(scope="session", autouse=True)
def _real_hub_is_not_asked() -> Iterator[None]:
    """Whether this machine has a network changes no test, and none is told to be offline by another.

    For the whole session, since fixtures of modules run commands, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "unreachable", lambda: "")
        yield


@pytest.fixture(scope="session", autouse=True)
def _nobody_cuts_the_power() -> Iterator[None]:
    """No test waits for the disk; those of durability watch or refuse these calls themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@pytest.fixture(autouse=True)
def _nobody_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was quiet in one test leaves the next one its voice."""
    monkeypatch.setattr(text, "_quiet", False)


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed third-party distribution, as pip would leave it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(Path(__file__).parent / "theirs", folder / "theirs", ignore=shutil.ignore_patterns("__pycache__"))
    metadata = folder / "theirs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def plugins(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The third-party package is installed for one test."""
    monkeypatch.syspath_prepend(site)
    registry._points.cache_clear()
    yield
    registry._points.cache_clear()


@pytest.fixture
def model(plugins: None) -> Any:
    """The third-party model in this process.

    It notes the (sample id, index) of what it is asked, batch by batch, in ``asked``; after ``fail(keys, do)`` these
    requests are answered by what ``do()`` returns or raises.
    """

    class Watched(model_class("theirs")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[list[tuple[str, int]]] = []
            self.fail(set(), str)

        def fail(self, keys: set[tuple[str, int]], do: Callable[[], Any]) -> None:
            self.failing, self.do = keys, do

        def understand(self, requests: Sequence[Request]) -> list[Any]:
            return self._watch(requests, super().understand(requests))

        def generate(self, requests: Sequence[Request]) -> list[Any]:
            return self._watch(requests, super().generate(requests))

        def _watch(self, requests: Sequence[Request], answers: Sequence[Any]) -> list[Any]:
            keys = [(request.sample_id, request.index) for request in requests]
            self.asked.append(keys)
            return [self.do() if key in self.failing else answer for key, answer in zip(keys, answers, strict=True)]

    return Watched()


@pytest.fixture
def command(
    plugins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """`command(*arguments)`: the command line in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGINT)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["hermes", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return Said(int(exit_.value.code or 0), out, err)

    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(scope="session")
def environment(site: Path) -> dict[str, str]:
    """The environment of a subprocess that has the third-party package and one thread."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture
def python(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python(*arguments)`: another Python process in an empty folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run
