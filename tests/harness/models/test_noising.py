"""The Gaussian likelihood of continuous pictures: DPO on it is Diffusion-DPO and Flow-DPO."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hermes.align.losses.objectives import PairLogProbs, SideLogProbs, pair_loss
from hermes.align.settings import LossSettings
from hermes.harness.models.noising import flowed, gaussian_log_probs, levels_of, logit_normal, noise_of

GOLDEN = Path(__file__).parents[4] / "shared" / "parity" / "objectives"


def cases(name: str) -> list[dict[str, Any]]:
    path = GOLDEN / name
    if not path.exists():
        pytest.skip("the golden data are not here")
    found: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
    return found


def losses(case: dict[str, Any], predictions: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """The objective ``gen`` on sums, with beta over the number of elements: a loss for each pair."""
    pairs, size = targets["winner"].shape
    log_probs = {
        f"{who}_{side}": gaussian_log_probs(predictions[f"{who}_{side}"], targets[side], torch.arange(pairs), pairs)
        for who in ("policy", "reference")
        for side in ("winner", "loser")
    }
    count = torch.full((pairs,), float(size))
    side = SideLogProbs(
        **log_probs, tokens_winner=count, tokens_loser=count, present=torch.ones(pairs, dtype=torch.bool)
    )
    settings = LossSettings(objective="gen", beta_gen=case["beta"] / size, anchor=0.0)
    return pair_loss(PairLogProbs(und=side, gen=side), settings).total


@pytest.mark.parametrize("name", ["flow_dpo.json", "diffusion_dpo.json"])
def test_dpo_on_these_log_probabilities_is_what_upstream_minimises(name: str) -> None:
    for case in cases(name):
        read = {
            key: torch.tensor(value, dtype=torch.float64)
            for key, value in case.items()
            if isinstance(value, list) and key != "timesteps"
        }
        targets = {
            side: read.get(f"target_{side}", read["noise"] - read[f"latents_{side}"]) for side in ("winner", "loser")
        }
        if "sigma" in read:
            for side in ("winner", "loser"):
                noisy, velocity = flowed(read[f"latents_{side}"], read["noise"], read["sigma"])
                torch.testing.assert_close(noisy, read[f"noisy_{side}"], atol=1e-7, rtol=0)
                torch.testing.assert_close(velocity, targets[side], atol=1e-12, rtol=0)
        elif case["prediction"] == "epsilon":
            targets = dict.fromkeys(targets, read["noise"])
        policy = {f"policy_{side}": read[f"policy_{side}"].clone().requires_grad_() for side in targets}
        found = losses(
            case, {**policy, **{f"reference_{side}": read[f"reference_{side}"] for side in targets}}, targets
        )
        loose = 0.0 if case["dtype"] == "float64" else 2e-4
        torch.testing.assert_close(found.detach(), read["loss"], atol=1e-12, rtol=1e-9 + loose, msg=case["name"])
        found.mean().backward()
        for side in targets:
            wanted = read[f"grad_policy_{side}"]
            torch.testing.assert_close(
                policy[f"policy_{side}"].grad, wanted, atol=1e-9, rtol=1e-6 + loose, msg=case["name"]
            )


def test_a_half_type_is_summed_in_float32_and_a_mean_over_draws_is_taken() -> None:
    prediction, target = torch.full((4, 1000), 1.0, dtype=torch.bfloat16), torch.zeros(4, 1000)
    target[2:] = 3.0
    found = gaussian_log_probs(prediction, target, torch.tensor([0, 0, 1, 1]), 2, draws=2)
    assert found.dtype == torch.float32
    assert found.tolist() == [-500.0, -2000.0]


def test_levels_lie_in_their_strata_and_noise_follows_from_seed_and_number() -> None:
    levels = levels_of(7, 5)
    assert ((levels * 5).long() == torch.arange(5)).all()
    assert torch.equal(levels, levels_of(7, 5))
    assert not torch.equal(levels, levels_of(8, 5))
    times = logit_normal(levels_of(3, 1000), shift=3.0)
    assert abs(float(times.median()) - 0.75) < 0.01  # 3 t / (1 + 2 t) at t = 1/2
    assert torch.equal(noise_of(1, 3, (2, 4))[:2], noise_of(1, 2, (2, 4)))
    assert not torch.equal(noise_of(1, 1, (2, 4)), noise_of(2, 1, (2, 4)))
