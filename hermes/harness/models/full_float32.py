"""Full float32 on a GPU: without TensorFloat-32, whose ten bits of mantissa move the detector's masks."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_float32(device: str) -> Iterator[None]:
    """Matrix products and convolutions in full float32 for as long as this lasts; nothing to do on a CPU."""
    import torch

    if not device.startswith("cuda"):
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
