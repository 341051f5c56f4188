"""The 2 x 2 of two sides over the same questions: joint success, phi and GapEval's closed form, with intervals.

The counts say how many questions are right on both sides (p11), on the first alone (p10), on the second alone (p01), on
neither (p00). With n their sum, u = (p11 + p10) / n and g = (p11 + p01) / n:

    J = p11 / n        ratio = J / (u g)        phi = (J - u g) / sqrt(u (1 - u) g (1 - g))

Two sides that have nothing to do with each other have ratio 1 and phi 0; phi is the correlation of right and wrong, 1
where both sides are right about the same questions. Where a side is right about all questions or about none, phi is not
defined.

The interval of J is that of a mean clustered by item. Phi's is the delete-one-item jackknife's, brought within -1..1
(`stats.jackknife_metrics`). `tests/harness/records/test_agreement.py` counts how often both hold the truth.

GapEval (arXiv 2602.02140) turns the counts into one number. Its closed form here takes half a count more on either
side, u' = (n u + 1/2) / (n + 1), so that a perfect side is finite:

    d = logit u' - logit g'        raw = |d| / (1 + |d|)        gap = sigmoid(logit raw + 2.7 p00 / n - 1.05 p11 / n)
"""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hermes.harness.records.keys import digest
from hermes.harness.records.stats import DIFFERENCE, Floats, jackknife_metrics, mean_metric
from hermes.harness.records.types import Metric

CELLS = ("p11", "p10", "p01", "p00")
ALL_FAIL, ALL_SUCCEED = 2.7, 1.05
LEAST = 1e-6
ASKED, RIGHT = "asked", "right"
"""The tags of a score that say which questions it is about (`question_key`), and of a picture's which are right."""
Slot = tuple[str, int]  # A question's key, and which of the item's questions of the same text it is.
Cells = tuple[int, int, int, int]
Table = Mapping[tuple[str, Slot], Cells]
"""Of each question, by item and slot, how many pairs of verdicts fall into each cell; mostly one."""


class GapEval(NamedTuple):
    """GapEval's gap in its closed form, 0..1: ``raw`` of the two shares alone, ``gap`` with its two corrections."""

    raw: float
    gap: float


def question_key(question: str) -> str:
    """Eight characters that tell an item's questions apart."""
    return digest(question).hex()[:8]


def agreement(table: Table) -> dict[str, Any]:
    """What the questions' cells say: "joint" and "phi" as metrics, "ratio", "counts", and "gapeval".

    Phi is NaN and the ratio None where they are not defined. ``table`` holds one question or more.
    """
    items = [item for item, _ in table]
    cells = np.array(list(table.values()), dtype=np.float64)
    summed = counts(table)
    whole = np.array(list(summed.values()), dtype=np.float64)
    both, first, second = float(whole[0]), float(whole[:2].sum()), float(whole[[0, 2]].sum())
    n = float(whole.sum())
    verdicts = np.repeat(np.tile([1.0, 0.0, 0.0, 0.0], len(cells)), cells.ravel().astype(int))
    groups = np.repeat(np.unique(items, return_inverse=True)[1], cells.sum(axis=1).astype(int))
    return {
        "joint": mean_metric(verdicts, groups),
        "phi": phi_metric([_by_item(table, sorted(set(items)))]),
        "ratio": both * n / (first * second) if first and second else None,
        "counts": summed,
        "gapeval": closed_form(**summed)._asdict(),
    }


def counts(table: Table) -> dict[str, int]:
    """The four counts of a table."""
    cells = zip(*table.values(), strict=True) if table else [()] * len(CELLS)
    return dict(zip(CELLS, map(sum, cells), strict=True))


def phi(cells: Floats) -> Floats:
    """Phi of counts (..., 4); NaN where a side is always right or never."""
    both, first, second, neither = np.moveaxis(np.asarray(cells, dtype=np.float64), -1, 0)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(margins > 0, (both * neither - first * second) / np.sqrt(margins), np.nan)


def phi_metric(tables: Sequence[Floats]) -> Metric:
    """The mean phi of tables (items, 4) with its interval; the same items are the rows of all."""
    return _jackknifed([phi(table.sum(axis=0)) for table in tables], tables, [1 / len(tables)] * len(tables))


def joint_difference(before: Sequence[Table], after: Sequence[Table]) -> Metric:
    """How much more often the second of each pair is right on both sides, over the questions that all tables have."""
    tables = _common([*before, *after])
    half = len(tables) // 2
    shares = [np.array([cells[0] / sum(cells) for cells in table.values()]) for table in tables]
    moved = np.mean([b - a for a, b in zip(shares[:half], shares[half:], strict=True)], axis=0) if shares else []
    items = [item for item, _ in tables[0]] if tables else []
    return mean_metric(moved, items, bounds=DIFFERENCE)


def phi_difference(before: Sequence[Table], after: Sequence[Table]) -> Metric:
    """How much higher phi is in the second of each pair, over the questions that all tables have."""
    tables = _common([*before, *after])
    if not tables or not tables[0]:
        return Metric(value=float("nan"))
    items = sorted({item for item, _ in tables[0]})
    found = [_by_item(table, items) for table in tables]
    weights = [sign / len(before) for sign in (-1.0, 1.0) for _ in before]
    return _jackknifed([phi(one.sum(axis=0)) for one in found], found, weights, (-2.0, 2.0))


def undefined_phi(p11: int, p10: int, p01: int, p00: int) -> str:
    """Why these counts have no phi, such as "every question is right on the real picture"; "" where they have one."""
    for picture, right, wrong in (("real", p11 + p10, p01 + p00), ("drawn", p11 + p01, p10 + p00)):
        if not right or not wrong:
            return f"{'every' if right else 'no'} question is right on the {picture} picture"
    return ""


def closed_form(p11: float, p10: float, p01: float, p00: float) -> GapEval:
    """GapEval's gap of these counts, which are not all 0."""
    n = p11 + p10 + p01 + p00
    d = abs(_logit((p11 + p10 + 0.5) / (n + 1)) - _logit((p11 + p01 + 0.5) / (n + 1)))
    raw = min(1 - LEAST, max(LEAST, d / (1 + d)))
    return GapEval(raw, corrected(raw, p11 / n, p00 / n))


def corrected(raw: float, p11: float, p00: float) -> float:
    """GapEval's correction of a raw gap by the shares of questions that both sides and that neither is right about."""
    return 1 / (1 + exp(-(_logit(min(1 - LEAST, max(LEAST, raw))) + ALL_FAIL * p00 - ALL_SUCCEED * p11)))


def _logit(p: float) -> float:
    return log(p / (1 - p))


def _by_item(table: Table, items: Sequence[str]) -> Floats:
    """The cells (items, 4), those of an item's questions summed."""
    places = {item: place for place, item in enumerate(items)}
    cells: NDArray[np.float64] = np.zeros((len(items), len(CELLS)))
    np.add.at(cells, [places[item] for item, _ in table], np.array(list(table.values()), dtype=np.float64))
    return cells


def _common(tables: Sequence[Table]) -> list[Table]:
    """The tables with the questions that all of them have, in one order."""
    keys = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    return [{key: table[key] for key in keys} for table in tables]


def _jackknifed(
    values: Sequence[Floats],
    tables: Sequence[Floats],
    weights: Sequence[float],
    bounds: tuple[float, float] = DIFFERENCE,
) -> Metric:
    """A weighted sum of the tables' phis, each item left out of all of them in turn."""
    value = float(np.dot(weights, values))
    without = sum(
        (weight * phi(table.sum(axis=0) - table) for weight, table in zip(weights, tables, strict=True)),
        np.zeros(len(tables[0])),
    )
    sizes = tables[0].sum(axis=1)
    n = int(sizes.sum())
    if not np.isfinite(value):
        return Metric(value=value, n=n, groups=len(sizes))
    (found,) = jackknife_metrics([value], without[:, None], (sizes / n)[:, None], n, bounds=[bounds])
    return found
