"""benchmarks/gpu_check.sh with tiny models on a CPU: every check and figure is there, and a failure is recorded."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARITY = ROOT.parent / "shared" / "parity"
RATES = ("", ": FLOP utilisation", ": peak memory")
STEP = [f"step of 2 pairs{end}" for end in ("", ": as planned", *RATES[1:], ": peak memory as planned")]
STEP += ["pairs", "step of 2 pairs: the plan's memory is off by"]


def with_rates(*names: str) -> list[str]:
    return [name + end for name in names for end in RATES]


FIGURES = {
    "showo": with_rates(
        "text, batch 1, 4 tokens",
        "text, batch 8, 4 tokens",
        "images, batch 1, 2 steps",
        "images, batch 8, 2 steps",
        "codes to pixels, float32",
    ),
    "full": STEP,
    "invariance": [
        *(f"{what}, {kind}: the same" for kind in ("float32", "bfloat16") for what in ("answers", "picture tokens")),
        *(f"likelihoods, {kind}: the largest difference" for kind in ("float32", "bfloat16")),
    ],
    "janus": with_rates("text, batch 1, 4 tokens", "text, batch 8, 4 tokens", "images, batch 8, 16 codes, first run"),
    "lora": STEP,
    "showo2": with_rates(
        "text, batch 1, 4 tokens", "text, batch 8, 4 tokens", "images, batch 1, 2 points", "images, batch 2, 2 points"
    ),
    "shards": [
        "sharding",
        "the largest move of a weight",
        "sharded from whole, of the move",
        "training of whole weights",
        "training of shards",
        "training of shards: peak memory",
    ],
    "detector": ["Mask2Former, float32", "Mask2Former, float32: peak memory"],
    "reader": ["mPLUG, float32", "mPLUG, float32: peak memory"],
    "bagel": with_rates("text, batch 8, 3 tokens", "images, batch 4, 2 times"),
}
"""What each check tells but parity, whose figures are those of the golden files."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(ROOT / "benchmarks" / "gpu_check.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_every_check_is_done_and_every_figure_told(tmp_path: Path) -> None:
    done = run("--tiny", "--out", str(tmp_path / "found"), "--parity", str(PARITY))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "found.json").read_text())
    parity, *checks = told["checks"]
    assert [check["state"] for check in checks] == ["done"] * len(FIGURES)
    assert parity["state"] == ("done" if PARITY.is_dir() else "skipped")
    for check, names in zip(checks, FIGURES.values(), strict=True):
        assert sorted(figure["name"] for figure in check["figures"]) == sorted(names)
        assert all(figure["value"] is None or figure["value"] != 0 for figure in check["figures"][:1])
    written = (tmp_path / "found.md").read_text()
    assert written in done.stdout
    for check in told["checks"]:
        assert f"| **{check['name']}** | {check['state']}" in written
        assert all(f"|  | {figure['name']} | " in written for figure in check["figures"])


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.usefixtures("scripts")
def test_what_no_longer_fits_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_check

    monkeypatch.setattr(gpu_check, "SHARED", ())
    monkeypatch.setattr(os, "environ", os.environ.copy())
    out = tmp_path / "folder" / "found"
    assert gpu_check.main(["--tiny", "--out", str(out), "--minutes", "0", "--only", "judges,janus"]) == 0
    checks = json.loads(out.with_suffix(".json").read_text())["checks"]
    assert [(check["state"], check["why"]) for check in checks] == [("skipped", "0 s were left")] * 3


@pytest.mark.usefixtures("scripts")
def test_without_a_gpu_it_ends_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_check
    from gpu.measuring import Skipped

    def absent() -> None:
        raise RuntimeError("Found no NVIDIA driver\non your system")

    monkeypatch.setattr(gpu_check, "SHARED", ())
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr("torch.cuda.init", absent)
    with pytest.raises(
        SystemExit, match=r"^gpu_check: torch finds no GPU here \(Found no NVIDIA driver on your system\); "
    ):
        gpu_check.main(["--out", str(tmp_path / "found")])
    assert not list(tmp_path.iterdir())
    with pytest.raises(Skipped):
        list(gpu_check.machine(gpu_check.Place("cuda", False)))


@pytest.mark.usefixtures("scripts")
def test_a_failure_is_recorded_with_the_figures_before_it() -> None:
    from gpu.apart import outcome
    from gpu.measuring import Figure, Place, Skipped

    def figure(ok: bool | None = None) -> Figure:
        return Figure("speed", 3.0, "m/s", ok=ok)

    def failing(place: Place) -> Iterator[Figure]:
        yield figure()
        raise RuntimeError("CUDA error:\n  out of luck")

    def hanging(place: Place) -> Iterator[Figure]:
        yield figure()
        time.sleep(100)

    def crashing(place: Place) -> Iterator[Figure]:
        yield figure()
        os._exit(7)

    def wrong(place: Place) -> Iterator[Figure]:
        yield figure(ok=True)
        yield Figure("answers", 0.0, ok=False)

    def absent(place: Place) -> Iterator[Figure]:
        yield figure()
        import no_such_package  # noqa: F401

    def unfit(place: Place) -> Iterator[Figure]:
        yield figure()
        raise Skipped("no golden files")

    ends = {
        failing: ("failed", "RuntimeError: CUDA error: out of luck"),
        hanging: ("out of time", "stopped after 1 s"),
        crashing: ("failed", "its process ended with 7"),
        wrong: ("failed", "not as it must be: answers"),
        absent: ("skipped", "no_such_package is not installed"),
        unfit: ("skipped", "no golden files"),
    }
    for check, (state, why) in ends.items():
        found = outcome(check, Place("cpu", True), 1 if check is hanging else 30)
        assert (found["state"], found["why"]) == (state, why)
        assert found["figures"][0]["value"] == 3.0


@pytest.mark.usefixtures("scripts")
def test_a_golden_difference_is_a_failure() -> None:
    import torch
    from gpu.parity import compared

    expected = torch.arange(1.0, 5.0)
    assert compared("x", expected + 1e-6, expected, "float32").ok
    assert not compared("x", expected + 1e-2, expected, "float32").ok
    assert not compared("x", expected * torch.nan, expected, "bfloat16").ok
    ids = torch.tensor([1, 2])
    assert compared("x", ids, ids, "float32").ok
    assert not compared("x", ids.flip(0), ids, "float32").ok
    assert compared("x", ids.flip(0), ids, "bfloat16").ok is None
