"""The 2 x 2 of two sides against hand-worked figures, its intervals against simulated truths, GapEval's cases."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hermes.harness.records.agreement import (
    CELLS,
    DIFFERENCE,
    Cells,
    Table,
    agreement,
    closed_form,
    corrected,
    joint_difference,
    phi,
    phi_difference,
    undefined_phi,
)
from hermes.harness.records.stats import Z95, mean_metric
from hermes.harness.run.gapeval import published
from hermes.harness.system.errors import HermesError

GOLDEN = Path(__file__).parents[4] / "shared" / "parity" / "scorers"
KINDS: tuple[Cells, ...] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
TRIES = 400


def table(verdicts: list[tuple[str, bool, bool]]) -> Table:
    """Questions by item, with whether each is right on the first and on the second side."""
    return {
        (item, (str(number), 0)): KINDS[2 * (not first) + (not second)]
        for number, (item, first, second) in enumerate(verdicts)
    }


def drawn(rng: np.random.Generator, items: int, together: float) -> Table:
    """Six questions an item. A question's sides are the same with a chance of ``together``, else independent.

    An item's questions share an ease that both sides feel, so that they are clustered; every margin is a half.
    """
    ease = rng.random(items)[:, None] < 0.5
    mine = np.where(rng.random((items, 6)) < 0.5, ease, rng.random((items, 6)) < 0.5)
    other = rng.random((items, 1)) < 0.5
    theirs = np.where(rng.random((items, 6)) < 0.5, other, rng.random((items, 6)) < 0.5)
    second = np.where(rng.random((items, 6)) < together, mine, theirs)
    return table([(f"{k:03}", bool(a), bool(b)) for k in range(items) for a, b in zip(mine[k], second[k], strict=True)])


def test_by_hand() -> None:
    """Of ten questions four right on both sides, two on the first alone, one on the second alone, three on neither."""
    verdicts = [(True, True)] * 4 + [(True, False)] * 2 + [(False, True)] + [(False, False)] * 3
    found = agreement(table([(f"item {number // 2}", *one) for number, one in enumerate(verdicts)]))
    assert found["counts"] == {"p11": 4, "p10": 2, "p01": 1, "p00": 3}
    assert found["joint"] == mean_metric([1.0] * 4 + [0.0] * 6, [f"item {number // 2}" for number in range(10)])
    assert found["ratio"] == pytest.approx(0.4 / (0.6 * 0.5))
    assert found["phi"].value == pytest.approx((4 * 3 - 2 * 1) / math.sqrt(6 * 4 * 5 * 5))
    assert (found["phi"].n, found["phi"].groups) == (10, 5)
    assert found["phi"].low < found["phi"].value < found["phi"].high


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_make_the_marginals_and_phi_is_the_correlation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = rng.random((2, 60)) < rng.uniform(0.2, 0.8, (2, 1))
    found = agreement(table([(f"{k // 4}", bool(a), bool(b)) for k, (a, b) in enumerate(sides.T)]))
    p11, p10, p01, p00 = (found["counts"][name] for name in CELLS)
    assert ((p11 + p10) / 60, (p11 + p01) / 60) == pytest.approx(sides.mean(axis=1))
    assert (p11 + p10 + p01 + p00, found["joint"].value) == (60, pytest.approx((sides[0] & sides[1]).mean()))
    assert found["phi"].value == pytest.approx(np.corrcoef(sides)[0, 1])


def test_independent_sides_have_ratio_one_and_phi_zero_and_alike_ones_phi_one() -> None:
    found = agreement(table([(f"{k}", a, b) for k in range(9) for a in (True, False) for b in (True, False)]))
    assert (found["ratio"], found["phi"].value) == (1, 0)
    alike = agreement(table([(f"{k}", k % 2 > 0, k % 2 > 0) for k in range(20)]))
    assert (alike["phi"].value, alike["phi"].high, alike["ratio"]) == (1, 1, 2)
    assert 0.5 < alike["phi"].low < 1
    assert agreement(table([(f"{k}", k % 2 > 0, k % 2 < 1) for k in range(20)]))["phi"].value == -1


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (True, None, "every question is right on the real picture"),
        (False, None, "no question is right on the real picture"),
        (None, True, "every question is right on the drawn picture"),
        (None, False, "no question is right on the drawn picture"),
    ],
)
def test_a_side_that_is_always_or_never_right_has_no_phi(first: bool | None, second: bool | None, why: str) -> None:
    sides = [(k % 2 > 0 if first is None else first, k % 2 > 0 if second is None else second) for k in range(6)]
    found = agreement(table([(f"{k}", *one) for k, one in enumerate(sides)]))
    assert math.isnan(found["phi"].value)
    assert (found["phi"].low, found["phi"].high) == (None, None)
    assert undefined_phi(**found["counts"]) == why
    assert (found["ratio"] is None) == why.startswith("no ")


def test_a_phi_that_hangs_on_one_item_has_no_interval() -> None:
    found = agreement(table([("a", True, True), ("b", True, True), ("c", False, False)]))
    assert found["phi"].value == 1
    assert found["phi"].low is None
    assert undefined_phi(**found["counts"]) == ""


@pytest.mark.parametrize("items", [40, 200])
@pytest.mark.parametrize("together", [0.0, 0.3, 0.8])
def test_coverage(items: int, together: float) -> None:
    rng = np.random.default_rng(7)
    found = [agreement(drawn(rng, items, together)) for _ in range(TRIES)]
    truths = {"phi": together, "joint": 0.25 * (1 + together)}
    for name, truth in truths.items():
        held = sum(one[name].low <= truth <= one[name].high for one in found) / TRIES
        assert 0.92 <= held <= 0.98, name


def test_differences_are_over_the_questions_that_both_have() -> None:
    before = table([("a", True, False), ("a", False, False), ("b", True, True), ("c", False, True)])
    after = table([("a", True, True), ("a", False, False), ("b", True, True)])
    moved = joint_difference([before], [after])
    assert moved == mean_metric([1, 0, 0], ["a", "a", "b"], bounds=DIFFERENCE)
    assert phi_difference([before], [after]).value == pytest.approx(1 - 0.5)
    assert math.isnan(phi_difference([before], [{}]).value)
    assert math.isnan(joint_difference([before], [{}]).value)


def test_the_difference_of_phi_is_paired() -> None:
    """The same verdicts twice differ by nothing, and by no more than what no change in so many items may hide."""
    one = drawn(np.random.default_rng(0), 60, 0.4)
    moved = phi_difference([one, one], [one, one])
    assert moved.value == 0
    assert moved.groups == 60
    assert moved.high == pytest.approx(2 * Z95**2 / (60 + Z95**2))
    assert moved.low == pytest.approx(-2 * Z95**2 / (60 + Z95**2))


@pytest.fixture
def gapeval() -> dict[str, Any]:
    path = GOLDEN / "gapeval.json"
    if not path.exists():
        pytest.skip("the reference scorers' results are not here")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_gapeval_s_closed_form(gapeval: dict[str, Any]) -> None:
    for case in gapeval["gap_given_raw_cases"]:
        assert corrected(case["gap_raw"], case["p11"], case["p00"]) == pytest.approx(case["expected"], abs=1e-6)
    for told in (one for case in gapeval["table_from_items_corrected"] for one in case["expected_corrected"].values()):
        joint = told["joint"]
        if not joint["n"]:
            continue
        found = closed_form(*told["counts"])
        assert found == pytest.approx((joint["gap_raw_closed_form"], joint["gap_closed_form"]), abs=1e-9)
        value = float(phi(np.array(told["counts"])))
        assert math.isnan(value) if joint["phi"] is None else value == pytest.approx(joint["phi"], abs=1e-12)


def test_gapeval_as_published(gapeval: dict[str, Any]) -> None:
    """To the last digit, which hangs on torch's rounding (2.14); all cases agree, two are enough here."""
    for case in gapeval["fit_cases"][-2:]:
        found, told = published(case["rows"]), case["expected"]
        assert (found.raw, found.gaps, found.mean) == (told["gap_raw"], told["gaps"], told["gap_mean"])


def test_gapeval_refuses_what_are_no_shares(gapeval: dict[str, Any]) -> None:
    for case in gapeval["row_checks"]:
        if not case["accepted"]:
            with pytest.raises(HermesError, match="GapEval"):
                published(case["rows"])
