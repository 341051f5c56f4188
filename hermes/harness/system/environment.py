"""What a run ran on: versions, device, git commit, times. Recorded beside the run id, never in it."""

import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "hermes-bench",
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "datasets",
    "diffusers",
    "numpy",
    "pillow",
    "pydantic",
)


def describe(device: str) -> dict[str, Any]:
    """Versions, machine and commit as plain data."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "packages": {name: found for name in PACKAGES if (found := package_version(name))},
        "git_commit": _commit(),
        "argv": sys.argv[1:],
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held so far (its peak resident set), in MiB."""
    return round(_peak_bytes() / 2**20, 1)


class Stopwatch:
    """Seconds by stage, in the order in which the stages ended; a stage within another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin, before = time.perf_counter(), self._inner
        self._inner = 0.0
        try:
            yield
        finally:
            whole = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inner
            self._inner = before + whole


def _peak_bytes() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # POSIX only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        here = Path(__file__).parent
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
