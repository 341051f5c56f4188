"""Commands that run at once over one folder of runs, as the jobs of an array do."""

import subprocess
import sys
from pathlib import Path


def test_jobs_of_an_array_share_answers_and_nothing_else(environment: dict[str, str], tmp_path: Path) -> None:
    """Two tasks at once, one of them by a second job of another extent, which asks nothing that the first has asked."""
    log = tmp_path / "log"
    log.mkdir()

    def start(runs: str, task: str, *more: str) -> "subprocess.Popen[str]":
        command = (sys.executable, "-m", "hermes", "eval", "--model", "theirs", "--tasks", task, "--device", "cpu")
        return subprocess.Popen(
            (*command, "--runs", runs, *more),
            env={**environment, "THEIRS_SECONDS": "0.1", "THEIRS_LOG": str(log) if runs == "runs" else ""},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            stdout=subprocess.DEVNULL,
        )

    def results(runs: str) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in (tmp_path / runs).glob("theirs/*/results.json")}

    jobs = [("theirs",), ("theirs-drawing",), ("theirs", "--limit", "5")]
    for group in [[start("runs", *job) for job in jobs], *([start("alone", *job)] for job in jobs)]:
        for process in group:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    assert results("runs") == results("alone")
    assert len(results("runs")) == len(jobs)
    asked = [key for path in log.glob("model.*") for key in path.read_text().split()]
    assert len(asked) == len(set(asked)) == 24 + 30
