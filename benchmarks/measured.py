"""Seconds and memory of variants of the same work, which take turns; what the scripts of this folder measure with."""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


def seconds(run: Callable[[], Any], chosen: argparse.Namespace) -> float:
    """Of one run: CPU time where it has one thread, so that other work on the machine counts little."""
    if chosen.device != "cpu":
        torch.cuda.synchronize()
    clock = time.process_time if chosen.device == "cpu" and chosen.threads == 1 else time.perf_counter
    begin = clock()
    run()
    if chosen.device != "cpu":
        torch.cuda.synchronize()
    return clock() - begin


def medians(runs: Mapping[str, Callable[[], Any]], chosen: argparse.Namespace) -> dict[str, float]:
    """Seconds of each run by its name, over rounds in which all take turns."""
    rounds = [{name: seconds(run, chosen) for name, run in runs.items()} for _ in range(chosen.rounds)]
    return {name: statistics.median(taken[name] for taken in rounds) for name in runs}


def checked_medians(case: Any, chosen: argparse.Namespace) -> dict[str, float]:
    """`medians` of a case's variants, after its check or, where there is none, a round that is not counted."""
    if chosen.dtype == "float32" and chosen.device == "cpu":
        if found := case.difference():
            sys.exit(f"{Path(sys.argv[0]).stem}: the released way and ours are not the same: {found}")
    else:
        for variant in case.variants:
            variant.run()
    return medians({variant.name: variant.run for variant in case.variants}, chosen)


def extra_peak(run: Callable[[], Any], device: str) -> float:
    """MiB above what is held before, on the GPU or in this process."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 2**10


def extra_peak_apart(name: str) -> float:
    """`extra_peak` of a variant in a process of its own: the same command with ``--only``, which prints it."""
    command = [sys.executable, *sys.argv, "--only", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _status(name: str) -> int:
    """A line of this process's status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
