"""Losses of one side against TRL's own numbers, and how settings choose them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hermes.align.losses.objectives import PairLogProbs, SideLogProbs, pair_loss
from hermes.align.losses.sides import SIDES, side_loss
from hermes.align.settings import MIX, PAIRED, SUPERVISED, AlignSettings, LossSettings, mixed
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "objectives"
LEFT_OUT = ("robust", "discopop")
DIVERGENCES = {"forward_kl": "forward_kl", "js_divergence": "js", "alpha_divergence": "alpha"}


def golden(name: str) -> Any:
    if not GOLDEN.exists():
        pytest.skip("the golden data are not here")
    return json.loads((GOLDEN / name).read_text())


def numbers(values: list[Any], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=dtype)


def one_side(pairs: list[dict[str, Any]], dtype: torch.dtype) -> SideLogProbs:
    names = ("policy_winner", "policy_loser", "reference_winner", "reference_loser", "tokens_winner", "tokens_loser")
    read = {name: numbers([pair[name] for pair in pairs], dtype) for name in names}
    for name in names[:2]:
        read[name].requires_grad_()
    return SideLogProbs(**read, present=torch.ones(len(pairs), dtype=torch.bool))


def settings_of(case: dict[str, Any]) -> LossSettings:
    """The settings that mean what TRL's of a case mean, on images."""
    name = DIVERGENCES.get(case.get("f_divergence_type", ""), case["loss_type"])
    return LossSettings(
        objective="gen",
        side_loss="sigmoid" if name == "sigmoid_norm" else name,
        normalize=name in ("sigmoid_norm", "ipo"),
        beta_gen=case["beta"],
        smoothing=case.get("label_smoothing", 0.0),
        anchor=0.0,
    )


def lost(side: SideLogProbs, settings: LossSettings) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    none = torch.zeros(len(side.present))
    nothing = SideLogProbs(none, none, none, none, none, none, none.bool())
    loss = pair_loss(PairLogProbs(nothing, side), settings).total
    winner, loser = torch.autograd.grad(loss.sum(), (side.policy_winner, side.policy_loser))
    return loss.detach(), winner, loser


def test_losses_and_gradients_are_those_of_trl() -> None:
    data = golden("dpo_losses.json")
    compared = set()
    for case in data["losses"]:
        if case["loss_type"] in LEFT_OUT:
            continue
        settings = settings_of(case)
        compared.add(settings.side_loss)
        dtype = getattr(torch, case["dtype"])
        names = ("loss", "grad_policy_winner", "grad_policy_loser")
        for name, found in zip(names, lost(one_side(data["pairs"], dtype), settings), strict=True):
            assert found.dtype == dtype
            assert not found.isnan().any(), (settings.side_loss, name)
            finite = numbers(case["loss"]).isfinite() & numbers(case[name]).isfinite()  # TRL's divergences overflow
            wanted = numbers(case[name])[finite].tolist()
            assert found[finite].tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-6), (settings.side_loss, name)
    assert compared == set(PAIRED) == {*SIDES} - {SUPERVISED}


def test_simpo_is_sigmoid_per_token_without_reference_and_with_a_target() -> None:
    for case in golden("simpo.json")["cases"]:
        means = [numbers(case[f"mean_logp_{end}"]).requires_grad_() for end in ("winner", "loser")]
        zero, one = torch.zeros(len(means[0])), torch.ones(len(means[0]))
        side = SideLogProbs(means[0], means[1], zero, zero, one, one, one.bool())
        settings = LossSettings(
            objective="gen",
            side_loss="hinge" if case["loss_type"] == "hinge" else "sigmoid",
            beta_gen=case["beta"],
            target=case["simpo_gamma"] or 0.0,
            normalize=True,
            reference_free=True,
            anchor=0.0,
        )
        finite = numbers(case["loss"]).isfinite()
        for name, found in zip(("loss", "grad_winner", "grad_loser"), lost(side, settings), strict=True):
            assert not found.isnan().any()
            assert found[finite].tolist() == pytest.approx(numbers(case[name])[finite].tolist(), rel=1e-6, abs=1e-9)


STARTS = {
    "sigmoid": 0.5,
    "hinge": 1.0,
    "exo_pair": 1.727,
    "nca_pair": 0.25,
    "bco_pair": 0.5,
    "apo_zero": 0.25,
    "forward_kl": 0.5,
    "js": 0.25,
    "alpha": 0.5,
}
"""The slopes at policy = reference, down for the winner and up for the loser, in units of beta."""


@pytest.mark.parametrize("name", PAIRED)
def test_where_a_training_begins(name: str) -> None:
    beta = 0.4
    a, b = (torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    winner, loser = (slope.item() for slope in torch.autograd.grad(side_loss(name, a, b, beta).sum(), (a, b)))
    if name == "apo_down":
        assert (winner, loser) == (pytest.approx(0.0), pytest.approx(beta / 4))
    else:
        found = STARTS[name] * beta if name in STARTS else 1 / beta
        assert (winner, loser) == (pytest.approx(-found, rel=1e-3), pytest.approx(found, rel=1e-3))


def pair(present: bool = True) -> SideLogProbs:
    four = [torch.tensor([value], dtype=torch.float64) for value in (-10.0, -12.0, -11.0, -11.5)]
    for one in four[:2]:
        one.requires_grad_()
    return SideLogProbs(*four, torch.tensor([5.0]), torch.tensor([4.0]), torch.tensor([present]))


@pytest.mark.parametrize("name", PAIRED)
def test_sum_adds_both_sides_and_leaves_out_a_missing_one(name: str) -> None:
    def loss(objective: str, und: bool = True) -> float:
        settings = LossSettings(objective=objective, side_loss=name, beta_und=0.2, beta_gen=0.5, anchor=0.0)
        return pair_loss(PairLogProbs(pair(und), pair()), settings).total.item()

    assert loss("sum") == pytest.approx(loss("und") + loss("gen"))
    assert loss("sum", und=False) == pytest.approx(loss("gen"))


@pytest.mark.parametrize("name", [name for name in PAIRED if name != "exo_pair"])
def test_smoothing_mixes_in_the_opposite_preference(name: str) -> None:
    one, turned = pair(), pair()
    turned = SideLogProbs(
        one.policy_loser,
        one.policy_winner,
        one.reference_loser,
        one.reference_winner,
        one.tokens_loser,
        one.tokens_winner,
        one.present,
    )
    plain = LossSettings(objective="gen", side_loss=name, anchor=0.0)
    expected = 0.9 * lost(one, plain)[0] + 0.1 * lost(turned, plain)[0]
    found = lost(one, plain.model_copy(update={"smoothing": 0.1}))[0]
    assert found.item() == pytest.approx(expected.item())


def test_a_pair_that_both_models_find_impossible_does_not_count() -> None:
    side = pair()
    side = SideLogProbs(
        side.policy_winner,
        torch.tensor([-math.inf], dtype=torch.float64, requires_grad=True),
        side.reference_winner,
        torch.tensor([-math.inf], dtype=torch.float64),
        side.tokens_winner,
        side.tokens_loser,
        side.present,
    )
    settings = LossSettings(objective="gen", anchor=1.0)
    assert [found.item() for found in lost(side, settings)] == [0.0, 0.0, 0.0]


def test_a_mix_adds_losses_by_their_weights() -> None:
    def loss(name: str) -> float:
        settings = LossSettings(objective="sum", side_loss=name, smoothing=0.1, target=0.2, anchor=0.0)
        return pair_loss(PairLogProbs(pair(), pair()), settings).total.item()

    assert loss(MIX) == pytest.approx(0.8 * loss("sigmoid") + 0.2 * loss("bco_pair"))
    assert loss("ipo:2") == pytest.approx(2 * loss("ipo"))


def test_mpo_is_a_mix_and_the_winners_likelihood() -> None:
    """a = 1, b = -0.5: l(m) of m = 0.5 x 1.5, l(0.5 a) + l(-0.5 b), and the winner's 10 nats over 5 tokens."""
    mpo = LossSettings(objective="gen", side_loss=MIX, beta_gen=0.5, anchor=1.0)
    expected = 0.8 * math.log1p(math.exp(-0.75)) + 0.2 * (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-0.25))) + 2
    assert lost(pair(), mpo)[0].item() == pytest.approx(expected)


def test_a_mix_has_one_way_to_be_written() -> None:
    for said in (MIX, "bco_pair:.2, sigmoid:0.80", " bco_pair : 2e-1,sigmoid:0.8"):
        found = build(AlignSettings, overrides={"side_loss": said})
        assert found.side_loss == MIX
        assert found.pairwise
        assert found.identity()["side_loss"] == MIX
    assert LossSettings(side_loss="hinge:1.0,ipo:12").side_loss == "hinge:1,ipo:12"
    assert "side_loss" not in AlignSettings(side_loss="sigmoid:1").identity()
    assert mixed(MIX) == {"sigmoid": 0.8, "bco_pair": 0.2}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("sigmoid:0.8,kto:0.2", "'kto' is no loss of pairs; choose from sigmoid, hinge, "),
        ("sigmoid:0.8,gspo:0.2", "'gspo' is no loss of pairs; choose from "),
        ("sigmoid:0.8,sft:1", "'sft' is weighed by anchor, not in a mix; choose from "),
        ("sigmoid:0.8,bco_pair", "bco_pair needs a weight above 0; write it as in sigmoid:0.8,bco_pair:0.2"),
        ("sigmoid,bco_pair", "sigmoid needs a weight above 0"),
        ("sigmoid:much", "sigmoid needs a weight above 0"),
        ("sigmoid:0", "sigmoid needs a weight above 0"),
        ("sigmoid:-1,hinge:1", "sigmoid needs a weight above 0"),
        ("sigmoid:inf", "sigmoid needs a weight above 0"),
        ("sigmoid:nan", "sigmoid needs a weight above 0"),
        ("sigmoid:0.5,sigmoid:0.5", "sigmoid stands in it twice; give it one weight"),
        ("sigmoid:0.5,", "'' is no loss of pairs"),
        (":1", "'' is no loss of pairs"),
    ],
)
def test_a_bad_mix_is_refused_in_one_line(said: str, words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        build(LossSettings, overrides={"side_loss": said})
    assert f"side_loss {said!r}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_joint_loss_takes_no_mix() -> None:
    with pytest.raises(HermesError, match="objective 'coupled' has one of its own"):
        build(LossSettings, overrides={"objective": "coupled", "side_loss": MIX})


@pytest.mark.parametrize("name", [*PAIRED, MIX, "exo_pair:3,hinge:2"])
def test_infinite_log_probabilities_give_no_nan(name: str) -> None:
    """Winner or loser impossible to policy or reference, in all sixteen combinations; a pair without a margin is 0."""
    ends = torch.tensor(
        [[-math.inf if row >> bit & 1 else -5.0 - bit for bit in range(4)] for row in range(16)], dtype=torch.float64
    )
    four = [end.clone() for end in ends.T]
    for one in four[:2]:
        one.requires_grad_()
    side = SideLogProbs(*four, torch.ones(16), torch.ones(16), torch.ones(16, dtype=torch.bool))
    settings = LossSettings(objective="gen", side_loss=name, smoothing=0.1, anchor=0.0)
    loss, *found = lost(side, settings)
    assert not any(one.isnan().any() for one in (loss, *found))
    without = [row for row in range(16) if any(row & both == both for both in (0b11, 0b1100, 0b101, 0b1010))]
    assert not loss[without].any()


def test_an_unknown_loss_is_refused_by_name() -> None:
    with pytest.raises(HermesError, match="side_loss 'robust' is unknown; choose from sigmoid, hinge, "):
        build(LossSettings, overrides={"side_loss": "robust"})


def test_a_joint_loss_takes_no_loss_of_a_side() -> None:
    with pytest.raises(HermesError, match="objective 'product' has one of its own; choose from sum, und, gen"):
        build(LossSettings, overrides={"objective": "product", "side_loss": "hinge"})
