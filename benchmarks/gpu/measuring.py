"""What a check is given, what it tells, and how it measures: seconds, FLOPs and their share of the card's best."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hermes.align.play.hardware import card_of
from hermes.harness.models.device import device_name

GB = 1e9
CLOSE = 0.15
"""How far a plan may be from what was measured."""


@dataclass(frozen=True)
class Place:
    """Where a check runs. ``tiny``: with models of a few thousand weights; ``parity``: the golden files, if here."""

    device: str
    tiny: bool
    parity: Path | None = None

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def pick(self, real: Any, tiny: Any) -> Any:
        """The one or the other, as the size is."""
        return tiny if self.tiny else real


@dataclass(frozen=True)
class Figure:
    """One row of the table; ``value`` None: cannot be told here. ``ok``: whether it is as it must be, None: no rule."""

    name: str
    value: float | str | None
    unit: str = ""
    note: str = ""
    ok: bool | None = None


class Skipped(Exception):
    """A check that cannot be made here, and why."""


def seconds(place: Place, run: Callable[[], Any]) -> float:
    """Of one run, until the device is done."""
    if place.cuda:
        torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    if place.cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def counted(run: Callable[[], Any]) -> float:
    """The FLOPs of a run's matrix products and attention, masked or not; it is slower while they are counted."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def new_peak(place: Place) -> None:
    """Peaks are of what comes from now on."""
    if place.cuda:
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(place: Place) -> float | None:
    """The most that tensors have taken on the card since `new_peak`, with what was there; None on a CPU."""
    return float(torch.cuda.max_memory_allocated()) if place.cuda else None


def peak(place: Place, name: str) -> Figure:
    """`peak_bytes` as a figure."""
    found = peak_bytes(place)
    return Figure(f"{name}: peak memory", None if found is None else found / GB, "GB")


def share_of_best(place: Place, name: str, flops: float, took: float, bf16: bool = True) -> Figure:
    """Which share of the card's best FLOP/s, in bfloat16 or in full float32, a run has reached."""
    card = card_of(device_name(place.device))
    share = None if card is None else 100 * flops / took / card.peak(bf16)
    return Figure(f"{name}: FLOP utilisation", share, "%", "" if card else "the card's best is not known")


def rate(
    place: Place,
    name: str,
    units: int,
    unit: str,
    run: Callable[[], Any],
    flops: float | None = None,
    warm: bool = True,
    bf16: bool = True,
) -> Iterator[Figure]:
    """Units a second of a run that makes so many, FLOP utilisation and peak memory.

    Without ``flops`` they are counted in a run before, which also warms up what the device loads once.
    """
    if flops is None:
        flops = counted(run)
    elif warm:
        run()
    new_peak(place)
    took = seconds(place, run)
    yield Figure(name, units / took, f"{unit}/s")
    yield share_of_best(place, name, flops, took, bf16)
    yield peak(place, name)
