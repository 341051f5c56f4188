"""The golden numbers of objectives: cases of a file, and what a case holds as tensors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "objectives"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    """Every case of a file; the test is skipped where the golden data are not here."""
    if not (GOLDEN / name).exists():
        pytest.skip("the golden data are not here")
    found: list[Case] = json.loads((GOLDEN / name).read_text())["cases"]
    return found


def numbers(values: Any) -> Tensor:
    """Nested lists of numbers, and of 'nan' and 'inf', in float64."""
    if isinstance(values, list):
        return torch.stack([numbers(one) for one in values]) if values else torch.zeros(0, dtype=torch.float64)
    return torch.tensor(float(values), dtype=torch.float64)


def padded(rows: Sequence[Sequence[Any]], filling: float = torch.nan) -> tuple[Tensor, Tensor]:
    """Rows of unlike lengths as one tensor, and which places they fill; the others hold what must not be looked at."""
    found = torch.full((len(rows), max(map(len, rows))), filling, dtype=torch.float64)
    counts = torch.zeros(found.shape, dtype=torch.bool)
    for place, row in enumerate(rows):
        found[place, : len(row)] = numbers(list(row))
        counts[place, : len(row)] = True
    return found, counts


def same(found: Tensor, wanted: Any, case: Case, loose: float = 1e-6, least: float = 1e-12) -> None:
    """Equal to the golden numbers, never NaN; where these are NaN, a finite number is wanted."""
    wanted = numbers(wanted) if not isinstance(wanted, Tensor) else wanted
    told = case.get("name", case)
    assert not found.isnan().any(), told
    known = ~wanted.isnan()
    found = found.detach().double()
    torch.testing.assert_close(found[known], wanted[known], rtol=loose, atol=least, msg=lambda text: f"{told}: {text}")
    assert found[~known].isfinite().all(), told


def slopes(loss: Tensor, *by: Tensor) -> tuple[Tensor, ...]:
    """The gradients of a loss, none of which is NaN."""
    found = torch.autograd.grad(loss, by)
    assert not any(one.isnan().any() for one in found)
    return found
