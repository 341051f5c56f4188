"""Advantages and group objectives against TRL's own numbers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hermes.align.losses.groups import advantages, group_loss, gspo, leave_one_out, rloo

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "objectives"


def golden(name: str) -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        pytest.skip("the golden data are not here")
    return json.loads((GOLDEN / name).read_text())["cases"]


def numbers(values: list[Any]) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def test_advantages_are_those_of_trl() -> None:
    for case in golden("group_advantages.json"):
        rewards = numbers(case["rewards"]).view(-1, case["group_size"])
        found = {
            "grpo_group_std": advantages(rewards),
            "grpo_no_std": advantages(rewards, "none"),
            "grpo_batch_std": advantages(rewards, "batch"),
            "rloo": leave_one_out(rewards),
            "rloo_kl_in_reward": leave_one_out(
                rewards
                - case["kl_beta"] * (numbers(case["old_logp"]) - numbers(case["reference_logp"])).view_as(rewards)
            ),
        }
        for name, values in found.items():
            assert values.flatten().tolist() == pytest.approx(case[name], rel=1e-6, abs=1e-8), (case["name"], name)


def test_sequence_losses_and_gradients_are_those_of_trl() -> None:
    for case in golden("group_sequence.json"):
        log_probs = numbers(case["logp"]).requires_grad_()
        old, tokens, advantage = (numbers(case[name]) for name in ("old_logp", "counts", "advantages"))
        low, high = case["epsilon"], case.get("epsilon_high") or case["epsilon"]
        if case["objective"] == "rloo":
            losses = rloo(log_probs, old, advantage, low, high)
        else:
            losses = gspo(log_probs, old, tokens, advantage, low, high, case.get("delta", math.inf))
        if case.get("loss_type") == "luspo":
            losses = losses * tokens
        loss = losses.mean()
        (slope,) = torch.autograd.grad(loss, log_probs)
        assert not slope.isnan().any()
        if isinstance(case["loss"], float):
            assert loss.item() == pytest.approx(case["loss"], rel=1e-6, abs=1e-9), case["name"]
            assert slope.tolist() == pytest.approx(case["grad_logp"], rel=1e-6, abs=1e-9), case["name"]


def test_at_the_start_every_candidate_is_moved_by_its_advantage() -> None:
    log_probs = torch.tensor([-30.0, -50.0], dtype=torch.float64, requires_grad=True)
    tokens, worth = torch.tensor([10.0, 20.0]), torch.tensor([1.5, -0.5])
    (slope,) = torch.autograd.grad(group_loss("gspo", log_probs, log_probs.detach(), tokens, worth).sum(), log_probs)
    assert slope.tolist() == pytest.approx([-0.15, 0.025])
