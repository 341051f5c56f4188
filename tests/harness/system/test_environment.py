"""Peak memory in MiB, whatever unit the system counts in."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hermes.harness.system.environment import peak_memory_mb


def test_the_peak_grows_with_what_is_held_and_stays_when_it_is_freed() -> None:
    import psutil

    room = int(psutil.Process().memory_info().rss / 2**20)
    held = np.ones(64 * 2**20, dtype=np.uint8)
    during = peak_memory_mb()
    assert during >= room + 60
    assert during <= psutil.virtual_memory().total / 2**20  # MiB, not KiB
    del held
    assert peak_memory_mb() >= during


@pytest.mark.parametrize(("system", "told"), [("linux", 512 * 1024), ("darwin", 512 * 2**20), ("win32", 512 * 2**20)])
def test_each_system_counts_in_its_own_unit(monkeypatch: pytest.MonkeyPatch, system: str, told: int) -> None:
    def module(name: str, **content: Any) -> None:
        made = ModuleType(name)
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, name, made)

    monkeypatch.setattr(sys, "platform", system)
    usage, memory = SimpleNamespace(ru_maxrss=told), SimpleNamespace(peak_wset=told)
    if system == "win32":
        monkeypatch.setitem(sys.modules, "resource", None)  # importing it fails, as it does there
        module("psutil", Process=lambda: SimpleNamespace(memory_info=lambda: memory))
    else:
        module("resource", RUSAGE_SELF=0, getrusage=lambda who: usage)
    assert peak_memory_mb() == 512.0
