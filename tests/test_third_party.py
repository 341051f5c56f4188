"""A package that Hermes has never heard of brings a benchmark, a judge and a model; the plain commands run them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Python = Callable[..., "subprocess.CompletedProcess[str]"]


def test_their_model_runs_on_their_benchmarks(python: Python, tmp_path: Path) -> None:
    tasks = "theirs,theirs-drawing"
    done = python("-m", "hermes", "eval", "-q", "--model", "theirs", "--tasks", tasks, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "theirs-drawing" in done.stdout
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    assert content["model"]["name"] == "theirs"
    assert not content["partial"]
    for result in content["results"].values():
        assert result["counts"]["error"] == 0
        assert result["metrics"]["accuracy"]["low"] < result["metrics"]["accuracy"]["high"]
    assert content["results"]["theirs-drawing"]["judge"] == "theirs-judge-1"
    assert "theirs" in (tmp_path / "run" / "report.md").read_text()


def test_our_model_runs_on_their_benchmark(python: Python, tmp_path: Path) -> None:
    done = python(
        "-m",
        "hermes",
        "eval",
        "-q",
        "--model",
        "null",
        "--tasks",
        "theirs",
        "--device",
        "cpu",
        "--out",
        tmp_path / "run",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["model"]["name"] == "null"


def test_their_model_runs_on_our_benchmark(python: Python, tmp_path: Path) -> None:
    command = ("-m", "hermes", "eval", "-q", "--model", "theirs", "--tasks", "pope", "--limit", 3, "--device", "cpu")
    done = python(*command, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["results"]["pope"]["counts"]["error"] == 0


def test_what_they_bring_is_listed(python: Python) -> None:
    for kind, said in (
        (("models", "theirs"), "guesses by the seed"),
        (("evaluators", "theirs"), "Their benchmark"),
        (("judges",), "names the colour of a flat picture"),
    ):
        done = python("-m", "hermes", "list", *kind)
        assert (done.returncode, done.stderr) == (0, "")
        assert "theirs" in done.stdout
        assert all(word in done.stdout for word in said.split())
