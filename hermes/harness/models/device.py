"""The device that weights are loaded to."""

import time
from functools import cache

from hermes.harness.system.errors import HermesError

MEASURED = 1024
"""Width of the matrices by whose product a CPU's speed is measured."""


def pick_device(wanted: str) -> str:
    """ "auto" is this process's GPU, the CPU where there is none. Raises HermesError for a device that is not here."""
    if wanted == "cpu":
        return wanted
    import torch

    from hermes.harness.system.processes import current

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


def device_name(device: str) -> str:
    """A GPU's name as its driver gives it, else "CPU"."""
    if not device.startswith("cuda"):
        return "CPU"
    import torch

    return str(torch.cuda.get_device_name(device))


@cache
def measured_rate() -> float:
    """FLOP/s of this CPU in a float32 product of two matrices, the better of two."""
    import torch

    left = torch.ones(MEASURED, MEASURED)
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        torch.mm(left, left)
        seconds.append(time.perf_counter() - begin)
    return 2.0 * MEASURED**3 / min(seconds)
