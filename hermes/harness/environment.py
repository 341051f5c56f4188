"""What a run ran on: versions, device, git commit, times. Recorded beside the run id, never in it."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hermes.harness.errors import HermesError

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


def pick_device(wanted: str) -> str:
    """ "auto" is this process's GPU, the CPU where there is none. Raises HermesError for a device that is not here."""
    if wanted == "cpu":
        return wanted
    import torch

    from hermes.harness.processes import current

    if wanted != "auto":
        try:
            device = torch.device(wanted)
        except RuntimeError:
            raise HermesError(f"unknown device {wanted!r}; choose auto, cpu, cuda or cuda:N") from None
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise HermesError(
                f"no device {wanted!r}: this machine shows {torch.cuda.device_count()} GPUs; try --device cpu"
            )
        return wanted
    return f"cuda:{current().local_rank}" if torch.cuda.is_available() else "cpu"


def describe(device: str) -> dict[str, Any]:
    """Versions, machine and commit as plain data."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git_commit": _commit(),
        "argv": sys.argv[1:],
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


class Stopwatch:
    """Seconds by stage, in the order in which the stages began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def _version(name: str) -> str | None:
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
