"""An ablation: its file, its jobs, its report; resumed, extended, and with an arm that fails."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from hermes.align.play.ablate import Ablation, ablate, jobs, read_ablation
from hermes.align.play.chosen import settings_for
from hermes.align.play.recipes import SHELF
from hermes.harness.run.stores import root_of
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent

COMMON: dict[str, Any] = {
    "model": "fake",
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


def test_a_report_compares_the_arms(fake_model: None, tmp_path: Path) -> None:
    content = ablate(ablation(), tmp_path)
    assert content == {"folder": tmp_path, "failed": {}}
    text = (tmp_path / "report.md").read_text()
    for words in ("Change since round 0", "Change since the round before", "Difference from sum", "coupled, n = 2"):
        assert words in text
    assert "2 seeds" in text
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_it_goes_on_and_takes_more_arms_and_seeds(
    fake_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablate(ablation(seeds=(0,), arms={"sum": ARMS["sum"]}), tmp_path)
    stamp = (tmp_path / "sum" / "seed-0" / "round-2" / "round.json").stat().st_mtime_ns
    told = Told()
    ablate(ablation(), tmp_path, progress=told)
    played = ("coupled, n = 2, seed 0", "sum, seed 1", "coupled, n = 2, seed 1")
    assert (told.skipped, told.played) == (1, [f"last {name}" for name in played])
    assert (tmp_path / "sum" / "seed-0" / "round-2" / "round.json").stat().st_mtime_ns == stamp
    assert len(list(tmp_path.glob("*/seed-*/history.json"))) == 4


def test_an_arm_that_fails_stops_no_other(fake_model: None, tmp_path: Path) -> None:
    arms = {"none": {"objective": "sum", "threshold": 1.0, "pairing": "both"}, **ARMS}
    told = Told()
    content = ablate(ablation(seeds=(0,), arms=arms), tmp_path, progress=told)
    assert list(content["failed"]) == ["none, seed 0"]
    assert "no valid preference pair" in content["failed"]["none, seed 0"]
    assert [line.partition(":")[0] for line in told.lines] == ["none, seed 0 has failed, the others go on"]
    text = (tmp_path / "report.md").read_text()
    assert "no valid preference pair" in text
    assert "coupled, n = 2" in text


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


def test_workers_play_side_by_side(tmp_path: Path) -> None:
    """Real processes and hermes-tiny: what two workers write equals what one does."""
    common = COMMON | {"model": "hermes-tiny", "rounds": 1, "items": 4, "n": 2, "replay_batch": 2, "eval_limit": 2}
    arms = {name: {"objective": name} for name in ("sum", "gen")}
    wanted = ablation(common=common, arms=arms, seeds=(0,))
    for name, workers in (("one", 1), ("two", 2)):
        assert ablate(wanted, tmp_path / name, workers)["failed"] == {}
    for arm in ("sum", "gen"):
        files = [tmp_path / name / arm / "seed-0" / "round-1" / "candidates.jsonl" for name in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_workers_end_with_a_command_that_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text('seeds = [0, 1]\n[common]\nmodel = "hermes-tiny"\nitems = 64\n[arms.sum]\nobjective = "sum"\n')
    command = (sys.executable, "-m", "hermes", "ablate", str(file), "--workers", "2", "--out", str(tmp_path / "runs"))
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(tmp_path.glob("runs/sum/*/spec.json"))) < 2:
            time.sleep(0.05)
        assert process.poll() is None
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_a_worker_that_is_killed_ends_the_command_with_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text('seeds = [0, 1]\n[common]\nmodel = "hermes-tiny"\nitems = 64\n[arms.sum]\nobjective = "sum"\n')
    command = (sys.executable, "-m", "hermes", "ablate", str(file), "--workers", "2", "--out", str(tmp_path / "runs"))
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        while run.poll() is None and len(list(tmp_path.glob("runs/sum/*/spec.json"))) < 2:
            time.sleep(0.05)
        children = psutil.Process(run.pid).children()
        next(one for one in children if "spawn_main" in " ".join(one.cmdline())).kill()
        told, _ = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "one of the 2 workers was killed" in told
    assert "Traceback" not in told
