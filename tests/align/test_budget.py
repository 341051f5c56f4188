"""The arithmetic of a plan: shares of processes, what fits, times, and what is refused."""

from typing import Any

import pytest

from hermes.align.play.budget import Budget, Ranks, budget
from hermes.align.play.cost import Amount, Work, phases
from hermes.align.play.hardware import BUSY, card_of
from hermes.align.play.workplan import WorkPlan, plan_lines, refuse_too_large
from hermes.align.settings import TrainSettings
from hermes.align.training.sizing import StepSizes
from hermes.harness.system.errors import HermesError

SIZES = StepSizes(
    **{"weights": 1000, "trained": 800, "outside": 100, "outside_trained": 80, "block": 50, "block_trained": 40},
    **{"fixed": 300, "pair": 20, "kept": 100, "kept_pair": 40, "flops": 900.0},
    **{"forward": {"text": 100.0, "image": 200.0}, "row": {"text": 10, "image": 30}},
)


@pytest.mark.parametrize(
    ("ranks", "weights", "gradients", "moments"),
    [
        (Ranks(), 1000, 800, 1600),
        (Ranks(number=4), 1000, 1600, 1600),
        (Ranks(number=4, sharded=True), 250 + 100 + 2 * 50, 200 + 80 + 2 * 40, 400),
        (Ranks(number=4, sharded=True, reshard=False), 250 + 1000, 200 + 80 + 2 * 40, 400),
    ],
    ids=["one", "ddp", "fsdp", "zero2"],
)
def test_what_each_process_holds(ranks: Ranks, weights: int, gradients: int, moments: int) -> None:
    found = budget(SIZES, TrainSettings(ema=0.9), ranks, cuda=False)
    copies = 800 // (ranks.number if ranks.sharded else 1)
    assert (found.weights, found.gradients, found.moments, found.copies) == (weights, gradients, moments, copies)


def test_the_largest_number_of_pairs_is_the_last_that_fits() -> None:
    found = budget(SIZES, TrainSettings(), Ranks(), cuda=True)
    assert [found.activations(pairs) for pairs in (1, 10, 11)] == [320, 500, 540]
    assert found.peak(1) == 3400 + 800  # the optimizer takes more than a pair's pass
    for free in (4200, 4600, 5001):
        most = found.largest(free)
        assert found.peak(most) <= free
        assert most == 1 or found.peak(most + 1) > free
    assert found.largest(4199) == 0


AMOUNT: dict[str, Any] = {
    **{"captions": 32, "images": 32, "judged": 0, "encoder": 0, "epochs": 2, "pairs": 8, "replayed": 4},
    **{"reply": 10, "evaluated": None, "guided": True},
}


def test_phases_are_shared_and_take_the_slower_of_arithmetic_and_reading() -> None:
    card = card_of("NVIDIA H100 80GB HBM3")
    assert card is not None
    work = Work(sizes=SIZES, codes=64, steps=0, draws_bf16=False, trains_bf16=True)
    alone, shared = (phases(Amount(**AMOUNT), work, ranks, 5000, card) for ranks in (1, 4))
    by_name = {one.name: one for one in alone}
    assert by_name["images"].flops == 32 * 2 * 200
    assert by_name["images"].read == 32 / 16 * 64 * 1000
    assert by_name["images"].seconds == pytest.approx(32 / 16 * 64 * 1000 / card.bandwidth / BUSY)
    assert by_name["training"].flops == 2 * 8 * 2 * 300 + 2 * 8 * 900 + 4 * 900 / 4
    assert (by_name["training"].memory, by_name["images"].memory) == (5000, 1000 + 32 * 30)
    assert by_name["evaluation"].seconds is None
    assert [(one.flops or 0) / 4 for one in alone] == [one.flops or 0 for one in shared]
    unknown = phases(Amount(**AMOUNT), work, 1, 5000, None)
    assert [one.name for one in unknown if one.seconds is not None] == ["similarity"]  # facts take no time


def test_a_choice_of_guidance_draws_the_evaluated_items_at_each_scale() -> None:
    work = Work(sizes=SIZES, codes=64, steps=0, draws_bf16=False, trains_bf16=True)
    found = phases(Amount(**AMOUNT | {"evaluated": 10, "guidances": (0.0, 1.0, 2.0)}), work, 1, 5000, None)
    by_name = {one.name: one for one in found}
    assert [one.name for one in found][-2:] == ["guidance", "evaluation"]
    # One row without guidance and two with it; five questions about each picture.
    assert by_name["guidance"].flops == 10 * (1 + 2 + 2) * 200 + 3 * 5 * 10 * 100
    assert by_name["evaluation"].flops == 10 * 2 * 200 + 2 * 5 * 10 * 100
    without = phases(Amount(**AMOUNT | {"evaluated": 10}), work, 1, 5000, None)
    assert list(without) == [one for one in found if one.name != "guidance"]
    unknown = phases(Amount(**AMOUNT | {"guidances": (1.0,)}), work, 1, 5000, None)
    assert [one.flops for one in unknown if one.name == "guidance"] == [None]


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L40", None),
        ("CPU", None),
    ],
)
def test_cards_are_known_by_their_driver_s_name(driver: str, name: str | None) -> None:
    assert getattr(card_of(driver), "name", None) == name


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    training = Budget(
        **{"weights": 40, "gradients": 30, "moments": 20, "copies": 0, "fixed": 5, "pair": 5, "kept": 0},
        **{"kept_pair": 0, "step": 0},
    )
    plan = WorkPlan(training=training, micro=8, free=105, largest=2, advice=("--micro-batch 2", "--checkpointing"))
    with pytest.raises(HermesError) as refused:
        refuse_too_large(plan)
    assert str(refused.value) == (
        "training with 8 pairs at once needs about 135 bytes on each process, which has 105 bytes; give --micro-batch "
        "2, or --checkpointing"
    )
    refuse_too_large(plan.model_copy(update={"micro": 2}))
    refuse_too_large(WorkPlan(unknown="mine does not tell its sizes before it is loaded"))
    assert plan_lines(WorkPlan(unknown="mine hides")) == ["work: not counted, as mine hides"]
