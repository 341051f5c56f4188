"""Which place sees which: causal, and everything in a picture's box sees all of the box.

Source: showlab/Show-o, commit 45a5a2d, show-o2/models/omni_attention.py. Trained and drawn with a box of the time token
and the picture's tokens; the understanding demo's box begins one place later and so ends behind <|vision_end|>.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def omni(length: int, begin: Tensor, size: int) -> Tensor:
    """(B, 1, length, length): true where a row's place may look at a column's, with boxes of ``size`` from ``begin``
    (B,) on. Padding on the right is seen by nothing before it.
    """
    places = torch.arange(length, device=begin.device)
    boxed = (places >= begin[:, None]) & (places < begin[:, None] + size)
    return ((places <= places[:, None]) | (boxed[:, :, None] & boxed[:, None]))[:, None]


def on_the_right(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (B, L) padded on the left, and where they are real."""
    length = max(map(len, rows))
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows], device=device)
    real = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in rows], device=device)
    return ids, real


def causal(real: Tensor) -> Tensor:
    """(B, 1, L, L) for rows padded on the left, ``real`` (B, L); a pad sees itself, for no row may see nothing."""
    length = real.shape[1]
    places = torch.arange(length, device=real.device)
    before = places <= places[:, None]
    return (before & (real[:, None] | (places == places[:, None])))[:, None]
