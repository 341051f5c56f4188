"""Losses against hand-worked values and finite differences, and what each form does at the origin and at (-, -)."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from hermes.align.losses.objectives import (
    OBJECTIVES,
    Margins,
    PairLogProbs,
    PairLoss,
    SideLogProbs,
    margin,
    pair_loss,
    smoothed,
)
from hermes.align.settings import LossSettings

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "showo" / "pair_dpo.safetensors"
FORMULAS = {
    "sum": lambda u, g: math.log1p(math.exp(-u)) + math.log1p(math.exp(-g)),
    "product": lambda u, g: math.log1p(math.exp(-u * g)),
    "coupled": lambda u, g: math.log(1 + math.exp(-u) + math.exp(-g)),
    "joint": lambda u, g: math.log1p(math.exp(-u - g)),
    "softproduct": lambda u, g: math.log1p(math.exp(-math.log1p(math.exp(u)) * math.log1p(math.exp(g)))),
    "ipo": lambda u, g: (u - 0.5) ** 2 + (g - 0.5) ** 2,
    "und": lambda u, g: math.log1p(math.exp(-u)),
    "gen": lambda u, g: math.log1p(math.exp(-g)),
    "replay": lambda u, g: 0.0,
}


def margins(und: list[float], gen: list[float], has_und: bool = True, has_gen: bool = True) -> Margins:
    full = torch.ones(len(und), dtype=torch.bool)
    u, g = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (und, gen))
    return Margins(u, g, full & has_und, full & has_gen)


def side(winner: float, loser: float, ref_winner: float, ref_loser: float, present: bool = True) -> SideLogProbs:
    pw, pl, rw, rl = (torch.tensor([v]) for v in (winner, loser, ref_winner, ref_loser))
    return SideLogProbs(pw, pl, rw, rl, torch.tensor([5.0]), torch.tensor([4.0]), torch.tensor([present]))


def lost(pairs: PairLogProbs, objective: str, anchor: float = 0.0, beta_gen: float = 0.5, **settings: Any) -> PairLoss:
    wanted = LossSettings(objective=objective, beta_und=0.2, beta_gen=beta_gen, anchor=anchor, **settings)
    return pair_loss(pairs, wanted)


def golden_pairs(prefix: str) -> tuple[PairLogProbs, dict[str, torch.Tensor]]:
    """The reference implementation's sums of a batch, taken as one pair."""
    if not GOLDEN.exists():
        pytest.skip("the golden data are not here")
    data = load_file(GOLDEN)

    def of(name: str) -> SideLogProbs:
        sums = [data[f"{prefix}.{who}.{what}.{name}"].view(1) for who in ("pol", "ref") for what in ("win", "lose")]
        one = torch.ones(1)
        return SideLogProbs(sums[0], sums[1], sums[2], sums[3], one, one, one.bool())

    return PairLogProbs(of("mmu"), of("t2i")), data


@pytest.mark.parametrize("prefix", ["intended", "released"])
def test_golden_losses(prefix: str) -> None:
    pairs, data = golden_pairs(prefix)
    for name, key in (
        ("sum", "loss"),
        ("und", "loss_mmu"),
        ("gen", "loss_t2i"),
        ("product", "paper_product_loss_beta_each"),
    ):
        loss = lost(pairs, name, beta_gen=0.2).total
        assert loss.item() == pytest.approx(data[f"{prefix}.{key}"].item(), rel=2e-5)


def test_formulas_cover_every_objective() -> None:
    assert set(FORMULAS) == set(OBJECTIVES)


@pytest.mark.parametrize("name", FORMULAS)
@given(und=st.floats(-6, 6), gen=st.floats(-6, 6))
def test_values_follow_the_equation(name: str, und: float, gen: float) -> None:
    loss = OBJECTIVES[name].loss(margins([und], [gen]))
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(FORMULAS[name](und, gen), abs=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("point", [(0.3, -0.7), (-1.2, -0.4), (2.0, 1.0)])
def test_gradients_equal_finite_differences(name: str, point: tuple[float, float]) -> None:
    m = margins([point[0]], [point[1]])
    loss = OBJECTIVES[name].loss(m).sum()
    found = torch.autograd.grad(loss, (m.und, m.gen), allow_unused=True) if loss.requires_grad else (None, None)
    step = 1e-6
    for axis, value in enumerate(found):
        up, down = list(point), list(point)
        up[axis] += step
        down[axis] -= step
        expected = (FORMULAS[name](*up) - FORMULAS[name](*down)) / (2 * step)
        assert (0.0 if value is None else value.item()) == pytest.approx(expected, abs=1e-6)


def gradient(name: str, und: float, gen: float) -> tuple[float, float]:
    m = margins([und], [gen])
    found = torch.autograd.grad(OBJECTIVES[name].loss(m).sum(), (m.und, m.gen))
    return found[0].item(), found[1].item()


def test_product_has_a_saddle_at_the_origin_and_rewards_two_wrongs() -> None:
    assert gradient("product", 0.0, 0.0) == (0.0, 0.0)
    assert OBJECTIVES["product"].loss(margins([-3.0], [-3.0])).item() < 0.001


@pytest.mark.parametrize("name", ["sum", "coupled", "softproduct"])
@given(und=st.floats(-8, 8), gen=st.floats(-8, 8))
def test_robust_forms_always_push_both_margins_up(name: str, und: float, gen: float) -> None:
    assert max(gradient(name, und, gen)) < 0


@given(und=st.floats(-5, 5), gen=st.floats(-5, 5))
def test_coupled_gives_the_lagging_side_the_larger_share(und: float, gen: float) -> None:
    du, dg = gradient("coupled", und, gen)
    assert du / dg == pytest.approx(math.exp(gen - und), rel=1e-6)


@pytest.mark.parametrize("name", ["sum", "coupled", "joint"])
def test_a_missing_side_leaves_plain_dpo_on_the_other(name: str) -> None:
    only_und = OBJECTIVES[name].loss(margins([0.8], [0.0], has_gen=False))
    only_gen = OBJECTIVES[name].loss(margins([0.0], [0.8], has_und=False))
    expected = math.log1p(math.exp(-0.8))
    assert only_und.item() == pytest.approx(expected)
    assert only_gen.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sum", "coupled", "joint", "und"])
def test_gradients_stay_finite_where_margins_are_huge_or_missing(name: str) -> None:
    m = margins([-500.0, 500.0], [-500.0, 0.0])
    m = Margins(m.und, m.gen, m.has_und, torch.tensor([True, False]))
    loss = OBJECTIVES[name].loss(m)
    (slope,) = torch.autograd.grad(loss.sum(), m.und)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(slope).all()


def test_margin_is_beta_times_the_difference_of_log_ratios() -> None:
    s = side(-10.0, -12.0, -11.0, -11.5)
    assert margin(s, 0.2).item() == pytest.approx(0.2 * ((-10 + 11) - (-12 + 11.5)))
    assert margin(s, 0.2, normalize=True).item() == pytest.approx(0.2 * (1.0 / 5 + 0.5 / 4))


def test_margin_of_a_missing_side_is_zero() -> None:
    assert margin(side(-1.0, -9.0, -4.0, -4.0, present=False), 1.0).item() == 0.0


def test_equal_policy_and_reference_give_the_value_at_zero() -> None:
    same = PairLogProbs(side(-3.0, -4.0, -3.0, -4.0), side(-30.0, -40.0, -30.0, -40.0))
    expected = {"sum": 2 * math.log(2), "product": math.log(2), "coupled": math.log(3), "und": math.log(2)}
    for name, value in expected.items():
        result = lost(same, name)
        assert result.preference.item() == pytest.approx(value)


def test_anchor_adds_the_winners_loss_per_token_on_each_side() -> None:
    pairs = PairLogProbs(side(-10.0, -4.0, -3.0, -4.0), side(-30.0, -40.0, -30.0, -40.0))
    plain, anchored = lost(pairs, "sum"), lost(pairs, "sum", anchor=0.5)
    assert (anchored.total - plain.total).item() == pytest.approx(0.5 * (10 / 5 + 30 / 5), rel=1e-5)
    assert anchored.preference.item() == plain.preference.item()


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("product", (False, False, True)),
        ("sum", (True, True, True)),
        ("und", (True, False, True)),
        ("gen", (False, True, True)),
    ],
)
def test_which_pairs_an_objective_can_use(name: str, usable: tuple[bool, bool, bool]) -> None:
    found = tuple(OBJECTIVES[name].usable(*has) for has in ((True, False), (False, True), (True, True)))
    assert found == usable


@pytest.mark.parametrize(
    ("name", "share"), [("sum", 0.5 * (10 / 5 + 30 / 5)), ("und", 1.0), ("gen", 3.0), ("replay", 0)]
)
def test_the_anchor_holds_the_sides_that_the_objective_looks_at(name: str, share: float) -> None:
    pairs = PairLogProbs(side(-10.0, -20.0, -10.0, -20.0), side(-30.0, -40.0, -30.0, -40.0))
    result = lost(pairs, name, anchor=0.5)
    assert (result.total - result.preference).item() == pytest.approx(share, rel=1e-5)


def test_softproduct_has_no_saddle_and_is_flat_where_both_are_wrong() -> None:
    start = gradient("softproduct", 0.0, 0.0)
    assert start[0] == start[1] == pytest.approx(-0.132, abs=1e-3)
    assert OBJECTIVES["softproduct"].loss(margins([-20.0], [-20.0])).item() == pytest.approx(math.log(2))
    assert abs(gradient("softproduct", -20.0, -20.0)[0]) < 1e-8


def test_ipo_stops_at_its_target() -> None:
    assert gradient("ipo", 0.5, 0.5) == (0.0, 0.0)
    assert gradient("ipo", 3.0, -1.0) == (5.0, -3.0)


@pytest.mark.parametrize("name", ["sum", "coupled", "ipo"])
@given(und=st.floats(-4, 4), gen=st.floats(-4, 4), eps=st.floats(0.01, 0.49))
def test_smoothing_mixes_in_the_opposite_preference(name: str, und: float, gen: float, eps: float) -> None:
    expected = (1 - eps) * FORMULAS[name](und, gen) + eps * FORMULAS[name](-und, -gen)
    assert smoothed(name, margins([und], [gen]), eps).item() == pytest.approx(expected, abs=1e-9)


def test_smoothed_dpo_has_its_minimum_at_the_log_odds() -> None:
    m = margins([math.log(0.9 / 0.1)], [0.0])
    (slope,) = torch.autograd.grad(smoothed("und", m, 0.1).sum(), m.und)
    assert slope.item() == pytest.approx(0.0, abs=1e-9)


def test_without_a_reference_the_margin_is_that_of_the_policy() -> None:
    s = side(-10.0, -12.0, -11.0, -11.5)
    assert margin(s, 0.2, reference_free=True).item() == pytest.approx(0.2 * (-10 + 12))
    assert margin(s, 0.2, normalize=True, reference_free=True).item() == pytest.approx(0.2 * (-10 / 5 + 12 / 4))
    pairs = PairLogProbs(s, s)
    assert lost(pairs, "und", reference_free=True).total.item() == pytest.approx(math.log1p(math.exp(-0.4)))
