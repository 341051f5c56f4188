"""Regressions of velocities against BAGEL's, SRUM's and Flow-Factory's own numbers, and against hand-worked ones."""

import math

import pytest
import torch
from golden_objectives import cases, numbers, same, slopes

from hermes.align.losses.regression import dgpo, flow_regression, nft, on_grid, reward_map, srum
from hermes.harness.models.noising import flowed, shifted


def test_flow_regression_with_its_shift_is_bagels() -> None:
    for case in cases("flow_sft.json"):
        if case["kind"] != "flow mse":
            continue
        times = shifted(numbers(case["normal"]).sigmoid(), case["timestep_shift"])
        same(times, case["t"], case, 1e-9)
        clean, noise = numbers(case["latents"]), numbers(case["noise"])
        same(flowed(clean, noise, times)[0], case["noisy"], case, 1e-9)
        prediction = numbers(case["prediction"]).requires_grad_()
        loss = flow_regression(prediction, clean, noise, times)
        same(loss, case["loss"], case, 1e-9)
        same(slopes(loss, prediction)[0], case["grad"], case, 1e-9)


def test_the_map_and_the_loss_are_srums() -> None:
    for case in cases("flow_sft.json"):
        if case["kind"] != "srum":
            continue
        boxes = [(box.get("score", 0.0), box.get("bbox")) for box in case["boxes"]]
        found = reward_map(boxes, float(case["global_score"]), *case["image_size"])
        same(found, case["reward_map"], case)
        rewards = on_grid(found, *case["latent_grid"])
        same(rewards, case["rewards"], case)
        drawn, good, noise = (numbers(case[name]) for name in ("latents_drawn", "latents_good", "noise"))
        prediction = numbers(case["prediction"]).requires_grad_()
        loss = srum(prediction, drawn, good, noise, rewards, case["lambda_constraint"])
        same(loss, case["loss"], case)
        same(slopes(loss, prediction)[0], case["grad"], case)


def test_nft_is_that_of_flow_factory() -> None:
    for case in cases("flow_group.json"):
        if case["kind"] != "nft":
            continue
        clean, noise, times = (numbers(case[name]) for name in ("latents", "noise", "sigma"))
        same(flowed(clean, noise, times)[0], case["noisy"], case, 1e-9)
        velocity = numbers(case["velocity"]).requires_grad_()
        losses = nft(
            velocity,
            numbers(case["old_velocity"]),
            clean,
            noise,
            times,
            numbers(case["advantages"]),
            case["advantage_clip"],
            case["nft_beta"],
        )
        same(losses.mean(), case["loss"], case, 1e-9)
        # Where an error is all rounding, the least denominator makes 1e5 of it.
        same(slopes(losses.mean(), velocity)[0], case["grad"], case, 1e-9, least=1e-10)
        good, k = numbers(case["r"]), case["nft_beta"] / case["advantage_clip"]
        wanted = (good * numbers(case["positive"]) + (1 - good) * numbers(case["negative"])) / k
        same(losses, wanted, case, 1e-9)


def test_dgpo_is_that_of_flow_factory() -> None:
    for case in cases("flow_group.json"):
        if case["kind"] != "dgpo":
            continue
        velocity = numbers(case["velocity"]).requires_grad_()
        losses = dgpo(
            velocity,
            numbers(case["reference_velocity"]),
            numbers(case["latents"]),
            numbers(case["noise"]),
            torch.tensor(case["groups"]),
            numbers(case["advantages"]),
            case["beta"],
        )
        same(losses.mean(), case["loss"], case, 1e-9)
        same(slopes(losses.mean(), velocity)[0], case["grad"], case, 1e-9)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_clean_context_is_not_predicted() -> None:
    clean, noise = torch.cat([row(1.0, 2.0), row(0.0, 0.0)]), torch.cat([row(5.0, 5.0), row(1.0, 3.0)])
    prediction = row(2.0, 5.0).requires_grad_()
    loss = flow_regression(prediction, clean, noise, torch.tensor([0.0, 0.5]))
    assert loss.item() == 2.5  # (1 + 4) / 2, of the second row alone
    assert slopes(loss, prediction)[0].tolist() == [[1.0, 2.0]]
    nothing = prediction[:0]
    assert flow_regression(nothing, clean, noise, torch.zeros(2)).item() == 0.0


def test_half_types_are_squared_in_float32() -> None:
    prediction = torch.full((1, 3), 300.0, dtype=torch.float16)
    zero = torch.zeros(1, 3)
    assert flow_regression(prediction, zero, zero, torch.ones(1)).item() == 90_000.0  # float16 ends at 65,504


def test_a_shift_keeps_both_ends() -> None:
    assert shifted(torch.tensor([0.0, 0.5, 1.0]), 3.0).tolist() == [0.0, 0.75, 1.0]


def test_boxes_lift_what_they_hold_and_the_layout_scales_all() -> None:
    found = reward_map([(1.0, (-2, 1, 2, 9)), (0.5, (1, 1, 3, 2)), (-1.0, (0, 0, 4, 3))], 0.0, width=4, height=3)
    assert found.tolist() == [[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.375, 0.25], [0.5, 0.5, 0.25, 0.25]]
    assert on_grid(found, 1, 2).tolist() == [0.5, 0.3125]  # the row amid three, columns two by two


@pytest.mark.parametrize(
    "box",
    [
        *((1.0, where) for where in (None, (0, 0, 2), (2, 0, 2, 3), (9, 9, 12, 12), (-3, -3, 0, 0))),
        *((1.0, (0, 0, edge, 2)) for edge in (math.nan, math.inf)),
        *((score, (0, 0, 2, 2)) for score in (None, math.nan)),
    ],
)
def test_a_box_that_holds_nothing_or_has_no_score_is_left_out(
    box: tuple[float | None, tuple[float, ...] | None],
) -> None:
    """A score that is not a number would make the released map NaN."""
    assert (reward_map([box], 1.0, 4, 4) == 0.5).all()
    assert (reward_map([box], math.nan, 4, 4) == 0.25).all()


def test_srum_weighs_the_drawn_picture_by_place_and_the_good_one_evenly() -> None:
    prediction = torch.cat([row(1.0), row(1.0)]).requires_grad_()
    zero = torch.zeros(2, 1, dtype=torch.float64)
    loss = srum(prediction, zero, zero + 1, zero, torch.tensor([1.0, 0.0]), 0.5)
    assert loss.item() == 0.5 + 0.5 * 4
    assert slopes(loss, prediction)[0].tolist() == [[2.0], [1.0]]


def test_nft_pulls_to_good_samples_and_away_from_bad_ones() -> None:
    """t = 1, x0 = 0, noise 0: the estimate of x0 is -v, so err = v^2 / |v| of v and of 2 v_old - v."""
    zero = torch.zeros(3, 1, dtype=torch.float64)
    velocity = torch.cat([row(2.0)] * 3).requires_grad_()
    worth = torch.tensor([9.0, -9.0, math.nan], dtype=torch.float64)
    losses = nft(velocity, zero + 3.0, zero, zero, torch.ones(3, dtype=torch.float64), worth, clip=1.0)
    assert losses.tolist() == [2.0, 4.0, 3.0]  # r = 1, 0, 1/2
    assert slopes(losses.sum(), velocity)[0].tolist() == [[2.0], [-2.0], [0.0]]


def test_nft_of_a_perfect_estimate_is_0() -> None:
    """0 / 0 but for the least denominator."""
    zero = torch.zeros(1, 2, dtype=torch.float64)
    velocity = zero.clone().requires_grad_()
    losses = nft(velocity, zero, zero, zero, torch.ones(1), torch.ones(1))
    assert losses.tolist() == [0.0]
    assert not slopes(losses.sum(), velocity)[0].any()


def test_dgpos_share_falls_as_the_group_gets_what_it_wants() -> None:
    """Errors 1 and 4, of the reference 4 and 1: A (err - ref) is -3 twice."""
    zero = torch.zeros(2, 1, dtype=torch.float64)
    velocity = torch.cat([row(1.0), row(2.0)]).requires_grad_()
    reference, worth = torch.cat([row(2.0), row(1.0)]), torch.tensor([1.0, -1.0], dtype=torch.float64)
    losses = dgpo(velocity, reference, zero, zero, torch.tensor([7, 7]), worth, beta=0.5)
    share = 1 / (1 + math.exp(1.5))
    assert losses.tolist() == pytest.approx([share, -4 * share])
    assert slopes(losses.sum(), velocity)[0].flatten().tolist() == pytest.approx([2 * share, -4 * share])


def test_groups_of_dgpo_do_not_see_each_other_and_those_without_worth_do_nothing() -> None:
    zero = torch.zeros(4, 1, dtype=torch.float64)
    velocity = torch.cat([row(2.0), row(1.0), row(5.0), row(3.0)]).requires_grad_()
    worth = torch.tensor([1.0, -1.0, -2.0, math.nan], dtype=torch.float64)
    losses = dgpo(velocity, zero, zero, zero, torch.tensor([5, 5, 1, 3]), worth, beta=1e6)
    assert losses.tolist() == [4.0, -1.0, 0.0, 0.0]  # w = 1 where A err adds up to 3, 0 where it is -50
