"""Layer-wise rates: by the number in a parameter's name, from the output down, through set-up and steps."""

import pytest
import torch
from torch import nn

from hermes.align.settings import TrainSettings
from hermes.align.training.depth import shares
from hermes.align.training.optimizers import new_optimizer, set_rate

NAMES = ["embed.weight", "blocks.0.enter.weight", "blocks.0.leave.weight", "blocks.1.enter.weight", "norm.weight"]


def test_each_layer_has_a_share_of_the_one_above_it() -> None:
    assert shares(NAMES, 0.5) == [0.125, 0.25, 0.25, 0.5, 1.0]
    assert shares(NAMES, 1.0) == [1.0] * 5
    assert shares(["embed.weight", "head.weight"], 0.5) == [1.0, 1.0]


def test_stacks_side_by_side_count_alike() -> None:
    names = ["embed", "layers.0.mlp", "layers.0.mlp_gen", "layers.1.mlp", "layers.1.mlp_gen", "head"]
    assert shares(names, 0.5) == [0.125, 0.25, 0.25, 0.5, 0.5, 1.0]


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_lower_layers_move_less_in_a_step(decay: float) -> None:
    """AdamW's first step is the rate itself, whatever the gradient."""
    weights = {name: nn.Parameter(torch.zeros(2)) for name in NAMES}
    settings = TrainSettings(lr=0.1, weight_decay=0.0, layer_decay=decay)
    optimizer = new_optimizer(weights, settings, torch.device("cpu"))
    set_rate(optimizer, 0.08)
    for weight in weights.values():
        weight.grad = torch.ones(2)
    optimizer.step()
    moved = [-float(weight.detach()[0]) for weight in weights.values()]
    assert moved == pytest.approx([0.08 * share for share in shares(NAMES, decay)], rel=1e-5)
