"""Losses of one side against TRL's own numbers, and how settings choose them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hermes.align.losses.objectives import PairLogProbs, SideLogProbs, pair_loss
from hermes.align.losses.sides import SIDES
from hermes.align.settings import PAIRED, SUPERVISED, LossSettings
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


def test_an_unknown_loss_is_refused_by_name() -> None:
    with pytest.raises(HermesError, match="side_loss 'robust' is unknown; choose from sigmoid, hinge, "):
        build(LossSettings, overrides={"side_loss": "robust"})


def test_a_joint_loss_takes_no_loss_of_a_side() -> None:
    with pytest.raises(HermesError, match="objective 'product' has one of its own; choose from sum, und, gen"):
        build(LossSettings, overrides={"objective": "product", "side_loss": "hinge"})
