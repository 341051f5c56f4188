"""An ablation: its file, its jobs, its report; resumed, extended, and with an arm that fails."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hermes.align.play.ablate import Ablation, ablate, jobs, read_ablation
from hermes.align.play.chosen import settings_for
from hermes.align.play.recipes import SHELF
from hermes.align.play.selfplay import align
from hermes.harness.run.stores import root_of
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent

FAKE = Path(__file__).with_name("align_fake.py")
COMMON: dict[str, Any] = {
    "model": "fake",
    "plugin": [str(FAKE)],
    "rounds": 2,
    "items": 6,
    "n": 3,
    "similarity": "facts",
    "critic": "oracle",
    "threshold": 0.0,
    "pairing": "either",
    "epochs": 2,
    "batch_size": 2,
    "replay_batch": 4,
    "eval_limit": 3,
    "eval_guidance": 1.0,
    "device": "cpu",
}
ARMS = {"sum": {"objective": "sum"}, "coupled, n = 2": {"objective": "coupled", "n": 2}}


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.skipped, self.played = 0, list[str]()

    def say(self, text: str) -> None:
        self.lines.append(text)

    def skip(self, steps: int) -> None:
        self.skipped += steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.played.append(note)


def ablation(**changes: Any) -> Ablation:
    return Ablation.model_validate({"seeds": (0, 1), "common": COMMON, "arms": ARMS} | changes)


def test_every_arm_meets_every_seed(tmp_path: Path) -> None:
    found = jobs(ablation(), tmp_path)
    assert [(job.arm, job.settings.seed) for job in found] == [
        ("sum", 0),
        ("coupled, n = 2", 0),
        ("sum", 1),
        ("coupled, n = 2", 1),
    ]
    assert found[3].settings.out == tmp_path / "coupled-n-2" / "seed-1"
    assert (found[3].settings.n, found[3].settings.objective, found[0].settings.n) == (2, "coupled", 3)
    assert {root_of(job.settings) for job in found} == {tmp_path}


def test_it_goes_on_with_more_arms_and_seeds_and_a_report_compares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each self-play has a process of its own, and two workers write what this process does."""
    monkeypatch.setattr(registry, "_of_files", {})
    noting = tmp_path / "noting.py"
    note = f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')"
    noting.write_text(f"{FAKE.read_text()}\n\nimport os\n\n{note}\n")
    common = COMMON | {"plugin": [str(noting)]}
    ablate(ablation(seeds=(0,), common=common, arms={"sum": ARMS["sum"]}), tmp_path)
    stamp = (tmp_path / "sum" / "seed-0" / "round-2" / "round.json").stat().st_mtime_ns
    told = Told()
    content = ablate(ablation(common=common), tmp_path, 2, progress=told)
    assert content == {"folder": tmp_path, "failed": {}}
    played = {"last coupled, n = 2, seed 0", "last sum, seed 1", "last coupled, n = 2, seed 1"}
    assert (told.skipped, len(told.played), set(told.played)) == (1, 3, played)
    assert (tmp_path / "sum" / "seed-0" / "round-2" / "round.json").stat().st_mtime_ns == stamp
    assert len(list(tmp_path.glob("*/seed-*/history.json"))) == 4
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == len(set(pids)) == 4 + (os.getpid() in pids)

    text = (tmp_path / "report.md").read_text()
    for words in ("Change since round 0", "Change since the round before", "Difference from sum", "coupled, n = 2"):
        assert words in text
    assert "2 seeds" in text
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    (here,) = jobs(ablation(seeds=(1,), common=common, arms={"sum": ARMS["sum"]}), tmp_path / "here")
    align(here.settings)
    place = Path("sum", "seed-1", "round-2", "candidates.jsonl")
    assert (tmp_path / "here" / place).read_bytes() == (tmp_path / place).read_bytes()


def test_an_arm_that_fails_or_is_killed_stops_no_other(tmp_path: Path) -> None:
    arms = {"none": {"objective": "sum", "threshold": 1.0, "pairing": "both"}, "sum": ARMS["sum"]}
    for name, end in (("killed", "os.kill(os.getpid(), 9)"), ("broken", "os.abort()"), ("left", "os._exit(3)")):
        (tmp_path / f"{name}.py").write_text(f"import os\n\n{end}\n")
        arms = {name: {"plugin": [str(tmp_path / f"{name}.py")]}} | arms
    told = Told()
    content = ablate(ablation(seeds=(0,), arms=arms), tmp_path / "out", 2, progress=told)
    failed = content["failed"]
    assert "no valid preference pair" in failed.pop("none, seed 0")
    assert failed == {
        "killed, seed 0": "its process was killed (SIGKILL), as systems do that run out of memory; the same command "
        "goes on where it was",
        "broken, seed 0": "its process was killed (SIGABRT); the same command goes on where it was",
        "left, seed 0": "its process ended with exit code 3; the same command goes on where it was",
    }
    assert sorted(line.partition(":")[0] for line in told.lines) == [
        f"{name}, seed 0 has failed, the others go on" for name in ("broken", "killed", "left", "none")
    ]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "no valid preference pair" in text
    assert "was killed (SIGKILL)" in text
    assert (tmp_path / "out" / "sum" / "seed-0" / "round-2" / "round.json").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = [0]\n[arms]", "has no arms"),
        ("seedz = [0]\n[arms.a]", "unknown key 'seedz'"),
        ("[arms.a]\nobjektive = 'sum'", "arm 'a': settings: unknown key 'objektive'"),
        ("base = 'b'\n[arms.a]", "base 'b' is not an arm"),
        ("[arms.a]\nn = 1", "arm 'a': settings: n = 1"),
        ("[arms.answers]", "arm 'answers': its folder would be that of the answers that all share"),
        ("[arms.'a b']\n[arms.a-b]", "arm 'a-b': its folder would be that of arm 'a b'; give it another name"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(HermesError, match=words) as caught:
        jobs(read_ablation(tmp_path / "a.toml"), tmp_path)
    assert "\n" not in str(caught.value)


def test_recipes_are_named_without_a_path() -> None:
    assert {"paper", "ablation", "ablation-n", "columns", "showo-512", "showo2-1.5b"} <= set(SHELF.names())
    with pytest.raises(
        HermesError, match=r"not a recipe; the recipes are ablation, ablation-methods, .*anole, .* paper, sd3"
    ):
        SHELF.path(Path("papier"))
    settings = settings_for({"data": "journeydb"}, Path("paper"))
    assert (settings.lr, settings.steps, settings.batch_size, settings.beta_gen) == (2e-5, 3000, 4, 0.2)
    for name in ("ablation", "ablation-n.toml"):
        found = jobs(read_ablation(Path(name)), Path("out"))
        assert {job.settings.seed for job in found} == {0, 1, 2, 3, 4}
    assert len(jobs(read_ablation(Path("ablation-methods")), Path("out"))) == 21 * 3
    assert len(jobs(read_ablation(Path("tuning")), Path("out"))) == 37


@pytest.fixture
def two_at_work(tmp_path: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A command whose two workers both play."""
    file = tmp_path / "a.toml"
    plugin = f"model = 'fake'\nplugin = [{str(FAKE)!r}]"
    file.write_text(f"seeds = [0, 1]\n[common]\n{plugin}\nitems = 2000\nrounds = 9\n[arms.sum]\nobjective = 'sum'\n")
    command = (sys.executable, "-m", "hermes", "ablate", str(file), "--workers", "2", "--out", str(tmp_path / "runs"))
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        while run.poll() is None and len(list(tmp_path.glob("runs/sum/*/spec.json"))) < 2:
            time.sleep(0.05)
        assert run.poll() is None
        yield run
        run.kill()


def test_workers_end_with_a_command_that_is_killed(two_at_work: "subprocess.Popen[str]") -> None:
    workers = psutil.Process(two_at_work.pid).children(recursive=True)
    two_at_work.kill()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_an_interrupted_command_ends_its_workers_and_shows_no_traceback(two_at_work: "subprocess.Popen[str]") -> None:
    """As Ctrl-C does, which the terminal sends to all."""
    workers = psutil.Process(two_at_work.pid).children()
    for one in (*workers, two_at_work):
        one.send_signal(signal.SIGINT)
    told, _ = two_at_work.communicate(timeout=60)
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert "Traceback" not in told
    assert two_at_work.returncode == 130
