"""Objectives token by token, and of sorted batches, against TRL's, T2I-R1's and dLLM-RL's own numbers."""

import math
from collections.abc import Callable

import pytest
import torch
from golden_objectives import Case, cases, numbers, padded, same, slopes
from torch import Tensor

from hermes.align.losses.batches import aot, aot_unpaired
from hermes.align.losses.group_tokens import (
    GroupTokens,
    cispo,
    group_token_loss,
    grpo,
    k3,
    sapo,
    t2i_r1,
    unigrpo,
    vespo,
)
from hermes.align.losses.groups import advantages
from hermes.align.losses.objectives import SideLogProbs, log_ratios
from hermes.align.losses.sides import side_loss
from hermes.align.losses.tokens import PairTokens, log_collisions, log_probs_of, sft, side_of, weighed, wpo_weight

INF = math.inf
PER_TOKEN = ("ipo", "sigmoid_norm")
"""TRL's losses that look at log-ratios per token."""


def pairs_of(case: Case) -> PairTokens:
    """Rows are winners, then losers; their policy's log-probabilities want a gradient."""
    half = len(case["lengths"]) // 2
    (won, counts_won), (lost, counts_lost) = padded(case["policy_logps"][:half]), padded(case["policy_logps"][half:])
    reference = case["reference_logps"]
    return PairTokens(
        won.requires_grad_(),
        lost.requires_grad_(),
        padded(reference[:half])[0],
        padded(reference[half:])[0],
        counts_won,
        counts_lost,
    )


def trl_loss(case: Case, pairs: PairTokens) -> Tensor:
    """What TRL makes of a case: the weighted sum of the means of its losses."""
    names = case["loss_type"] if isinstance(case["loss_type"], list) else [case["loss_type"]]
    side, half = side_of(pairs, case.get("ld_alpha", 1.0)), len(case["lengths"]) // 2
    weight = torch.ones(half, dtype=torch.float64)
    if case.get("use_weighting"):
        sums = case["log_sum_sq_probs"]
        weight = wpo_weight(pairs.policy_winner, padded(sums[:half])[0], pairs.counts_winner)
        weight = weight * wpo_weight(pairs.policy_loser, padded(sums[half:])[0], pairs.counts_loser)
    total = torch.zeros((), dtype=torch.float64)
    for name, share in zip(names, case.get("loss_weights") or [1.0] * len(names), strict=True):
        if name == "sft":
            total = total + share * sft(pairs.policy_winner, pairs.counts_winner)
        else:
            named = "sigmoid" if name == "sigmoid_norm" else name
            smoothing = case.get("label_smoothing", 0.0)
            each = weighed(side, weight, named, case["beta"], smoothing, normalize=name in PER_TOKEN)
            total = total + share * each.mean()
    return total


def test_losses_of_pairs_by_token_are_those_of_trl() -> None:
    for case in cases("dpo_tokens.json"):
        pairs = pairs_of(case)
        loss = trl_loss(case, pairs)
        same(loss, case["mean_loss"], case, 1e-9)
        wanted, half = padded(case["grad"], 0.0)[0], len(case["lengths"]) // 2
        for found, rows in zip(
            torch.autograd.grad(loss, (pairs.policy_winner, pairs.policy_loser), materialize_grads=True),
            (slice(None, half), slice(half, None)),
            strict=True,
        ):
            same(found, wanted[rows, : found.shape[1]], case, 1e-9)
            assert not wanted[rows, found.shape[1] :].any()


def test_a_mix_is_the_weighted_sum_of_trls_losses() -> None:
    """MPO's mix in one name, with the winners' likelihood beside it."""
    for case in cases("dpo_tokens.json"):
        if not isinstance(case["loss_type"], list):
            continue
        pairs = pairs_of(case)
        mix = ",".join(
            f"{name}:{weight}"
            for name, weight in zip(case["loss_type"], case["loss_weights"], strict=True)
            if name != "sft"
        )
        likely = dict(zip(case["loss_type"], case["loss_weights"], strict=True)).get("sft", 0.0)
        loss = side_loss(mix, *log_ratios(side_of(pairs)), case["beta"]).mean()
        same(loss + likely * sft(pairs.policy_winner, pairs.counts_winner), case["mean_loss"], case, 1e-9)


def batch_of(case: Case) -> SideLogProbs:
    four = {
        f"{who}_{end}": numbers(case[f"{who}_{end}"]) for who in ("policy", "reference") for end in ("winner", "loser")
    }
    for end in ("winner", "loser"):
        four[f"policy_{end}"].requires_grad_()
    one = torch.ones(len(case["policy_winner"]))
    return SideLogProbs(**four, tokens_winner=one, tokens_loser=one, present=one.bool())


def test_sorted_batches_are_those_of_trl() -> None:
    kinds: dict[str, Callable[[SideLogProbs, float, float], Tensor]] = {"aot": aot, "aot_unpaired": aot_unpaired}
    for case in cases("dpo_batch.json"):
        side = batch_of(case)
        loss = kinds[case["loss_type"]](side, case["beta"], case.get("label_smoothing", 0.0)).mean()
        same(loss, case["mean_loss"], case, 1e-9)
        found = slopes(loss, side.policy_winner, side.policy_loser)
        for one, end in zip(found, ("winner", "loser"), strict=True):
            same(one, case[f"grad_policy_{end}"], case, 1e-9)


def group_of(case: Case) -> GroupTokens:
    (log_probs, counts), others = padded(case["logps"]), {}
    for name in ("old", "reference"):
        others[name] = padded(case[f"{name}_logps"])[0] if case.get(f"{name}_logps") else None
    return GroupTokens(log_probs.requires_grad_(), counts, numbers(case["advantages"]), **others)


def group_loss_of(case: Case, group: GroupTokens) -> Tensor:
    name, low, high = case["loss_type"], case.get("epsilon"), case.get("epsilon_high")
    if name == "t2i_r1":
        return t2i_r1(group, case["beta"])
    options = {
        "grpo": {"low": low, "high": high, "most": case.get("delta") or INF},
        "cispo": {"most": high},
        "sapo": {},
        "vespo": {},
    }
    return group_token_loss(
        name,
        group,
        case["beta"],
        unbiased=bool(case.get("use_bias_correction_kl")),
        longest=case.get("max_completion_length"),
        level=case.get("importance_sampling_level", "token"),
        **options.get(name, options["grpo"]),
    )


def test_group_losses_by_token_are_those_of_trl_and_t2i_r1() -> None:
    seen = set()
    for case in cases("group_tokens.json"):
        if case["loss_type"] == "unigrpo":
            continue
        seen.add(case["loss_type"])
        group = group_of(case)
        loss = group_loss_of(case, group)
        loose = 1e-6 if case["loss_type"] == "sapo" else 1e-9  # TRL's temperatures are float32
        same(loss, case["loss"], case, loose)
        same(slopes(loss, group.log_probs)[0], padded(case["grad"], 0.0)[0], case, loose)
    assert {"grpo", "bnpo", "dapo", "dr_grpo", "sapo", "cispo", "vespo", "t2i_r1"} <= seen


def test_unigrpo_is_that_of_dllm_rl() -> None:
    for case in cases("group_tokens.json"):
        if case["loss_type"] != "unigrpo":
            continue
        logits = numbers(case["logits"]).requires_grad_()
        group = GroupTokens(
            log_probs_of(logits, torch.tensor(case["labels"])),
            torch.tensor(case["masked"], dtype=torch.bool),
            numbers(case["advantages"]),
            numbers(case["old_logps"]),
        )
        loss = unigrpo(group, case["epsilon"], case["beta"], case["k3"])
        same(loss, case["loss"], case, 1e-9)
        same(slopes(loss, logits)[0], case["grad_logits"], case, 1e-9)


def by_token(winner: list[float], loser: list[float], reference: float = -1.0) -> PairTokens:
    """One pair; the reference gives every token the same."""
    won, lost = (torch.tensor([row], dtype=torch.float64, requires_grad=True) for row in (winner, loser))
    return PairTokens(
        won,
        lost,
        torch.full_like(won, reference),
        torch.full_like(lost, reference),
        torch.ones_like(won, dtype=torch.bool),
        torch.ones_like(lost, dtype=torch.bool),
    )


def test_what_the_longer_answer_has_more_counts_by_its_weight() -> None:
    side = side_of(by_token([-1.0], [-2.0, -4.0, -8.0]), tail=0.25)
    assert side.policy_loser.tolist() == [-2.0 - 0.25 * 12.0]
    assert side.reference_loser.tolist() == [-1.5]
    assert (side.policy_winner.tolist(), side.tokens_loser.tolist()) == ([-1.0], [3])


def test_an_end_that_is_cut_has_no_part_however_impossible() -> None:
    """Weight 0 x -inf is 0 here; the product would be NaN."""
    pairs = by_token([-1.0], [-2.0, -INF])
    loss = side_loss("sigmoid", *log_ratios(side_of(pairs, tail=0.0)), 1.0)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1.0)))
    assert slopes(loss.sum(), pairs.policy_loser)[0].tolist() == [[pytest.approx(1 / (1 + math.e)), 0.0]]


@pytest.mark.parametrize("name", ["sigmoid", "ipo", "exo_pair", "sppo_hard", "forward_kl"])
def test_a_token_that_both_models_find_impossible_takes_the_pair_out(name: str) -> None:
    pairs = by_token([-1.0, -INF], [-2.0], reference=-INF)
    loss = weighed(side_of(pairs), torch.ones(1), name, 0.1)
    assert loss.tolist() == [0.0]
    assert slopes(loss.sum(), pairs.policy_winner)[0].tolist() == [[0.0, 0.0]]


def test_an_answer_without_tokens_has_a_log_ratio_of_0() -> None:
    pairs = by_token([], [-3.0])
    assert side_loss("sigmoid", *log_ratios(side_of(pairs), True), 1.0).item() == pytest.approx(
        math.log1p(math.exp(-2))
    )
    assert wpo_weight(pairs.policy_winner, pairs.policy_winner, pairs.counts_winner).tolist() == [1.0]
    assert sft(pairs.policy_winner, pairs.counts_winner).item() == 0.0


def test_wpos_weight_is_the_mean_ratio_to_what_would_have_been_drawn() -> None:
    log_probs, counts = padded([[math.log(0.5), math.log(0.125)]])
    weight = wpo_weight(log_probs, torch.full((1, 2), math.log(0.5), dtype=torch.float64), counts)
    assert weight.item() == pytest.approx(0.5)
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, -INF, -INF, -INF]]], dtype=torch.bfloat16)
    assert log_collisions(logits).tolist() == [[pytest.approx(-math.log(4.0)), 0.0]]
    assert log_probs_of(logits, torch.tensor([[2, 0]])).tolist() == [[pytest.approx(-math.log(4.0)), 0.0]]


@pytest.mark.parametrize("name", ["sigmoid", "ipo", "hinge"])
def test_an_impossible_answer_has_weight_0_and_no_part(name: str) -> None:
    """0 x inf is 0 here; TRL gives NaN, and cannot differentiate its weighed hinge at all."""
    pairs = by_token([-1.0, -INF], [-2.0])
    weight = wpo_weight(pairs.policy_winner, torch.full((1, 2), -0.5, dtype=torch.float64), pairs.counts_winner)
    loss = weighed(side_of(pairs), weight, name, 0.1)
    assert (weight.tolist(), loss.tolist()) == ([0.0], [0.0])
    assert slopes(loss.sum(), pairs.policy_winner)[0].tolist() == [[0.0, 0.0]]


def test_the_winners_likelihood_is_a_mean_over_the_tokens_of_the_batch() -> None:
    log_probs, counts = padded([[-1.0], [-2.0, -3.0, -4.0], []])
    log_probs.requires_grad_()
    loss = sft(log_probs, counts)
    assert loss.item() == 2.5
    assert slopes(loss, log_probs)[0].sum(1).tolist() == [-0.25, -0.75, 0.0]


def sums(winner: list[float], loser: list[float], ref_winner: list[float], ref_loser: list[float]) -> SideLogProbs:
    four = [torch.tensor(row, dtype=torch.float64) for row in (winner, loser, ref_winner, ref_loser)]
    for one in four[:2]:
        one.requires_grad_()
    count = torch.ones(len(winner))
    return SideLogProbs(*four, count, count, count.bool())


def test_a_sorted_batch_compares_margins_by_rank() -> None:
    side = sums([3.0, -1.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0])  # policy's 3, -1; reference's 0, 2
    assert aot(side, 1.0).tolist() == pytest.approx([math.log1p(math.e), math.log1p(math.exp(-1.0))])
    assert slopes(aot(side, 1.0).sum(), side.policy_winner)[0].tolist() == pytest.approx([-0.2689414, -0.7310586])
    unpaired = sums([3.0, -1.0], [5.0, 1.0], [0.0, 0.0], [0.0, 0.0])  # -1 with 1, 3 with 5
    assert aot_unpaired(unpaired, 0.5).tolist() == pytest.approx([math.log1p(math.e)] * 2)


def test_pairs_without_a_margin_are_left_out_of_a_sorted_batch() -> None:
    side = sums([1.0, -INF], [0.0, 0.0], [0.0, -INF], [0.0, 0.0])
    for loss in (aot(side, 1.0), aot_unpaired(side, 1.0)):
        assert loss.tolist() == pytest.approx([math.log1p(math.exp(-1.0))])
        assert slopes(loss.sum(), side.policy_winner)[0].tolist() == pytest.approx([-0.2689414, 0.0])


def test_infinite_margins_of_two_pairs_that_meet_are_level() -> None:
    """TRL's inf - inf is NaN."""
    side = sums([0.0, 0.0], [-INF, 0.0], [0.0, 0.0], [0.0, -INF])
    assert aot(side, 1.0).tolist() == pytest.approx([math.log(2.0)] * 2)
    assert slopes(aot(side, 1.0).sum(), side.policy_winner)[0].isfinite().all()


def group(
    log_probs: list[list[float]],
    worth: list[float],
    old: list[list[float]] | None = None,
    reference: list[list[float]] | None = None,
) -> GroupTokens:
    found, counts = padded(log_probs)
    others = [padded(rows)[0] if rows else None for rows in (old, reference)]
    return GroupTokens(found.requires_grad_(), counts, torch.tensor(worth, dtype=torch.float64), *others)


TRIPLED = math.log(1.5)


def test_ratios_are_clipped_by_token_or_by_sequence() -> None:
    one = group([[TRIPLED, 0.0]], [2.0], [[0.0, 0.0]])
    assert grpo(one).tolist() == [[pytest.approx(-2.4), -2.0]]
    assert grpo(one, low=0.2, high=0.28).tolist() == [[pytest.approx(-2.56), -2.0]]
    assert grpo(one, low=0.3, level="sequence").tolist() == [[pytest.approx(-2 * math.sqrt(1.5))] * 2]
    bad = group([[TRIPLED, 0.0]], [-2.0], [[0.0, 0.0]])
    assert grpo(bad).tolist() == [[pytest.approx(3.0), 2.0]]
    assert grpo(bad, most=1.25).tolist() == [[2.5, 2.0]]


def test_soft_and_weighed_ratios() -> None:
    two = group([[TRIPLED], [TRIPLED]], [1.0, -1.0], [[0.0], [0.0]])
    gates = [-4 / (1 + math.exp(-0.5)), 4 / 1.05 / (1 + math.exp(-1.05 * 0.5))]
    assert sapo(two).flatten().tolist() == pytest.approx(gates)
    assert cispo(two, most=1.25).flatten().tolist() == pytest.approx([-1.25 * TRIPLED, 1.25 * TRIPLED])
    phi = [math.exp(3 + 2 * TRIPLED - 3 * 1.5), math.exp(2 + 3 * TRIPLED - 2 * 1.5)]
    assert vespo(two).flatten().tolist() == pytest.approx([-phi[0] * TRIPLED, phi[1] * TRIPLED])
    level = group([[-3.0, -1.0]], [2.0])
    assert slopes(vespo(level).sum(), level.log_probs)[0].tolist() == [[-2.0, -2.0]]  # phi is 1 at w = 1


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("grpo", {}, -(1 + 3) / 3),
        ("sapo", {}, -2 * (1 + 3) / 3),
        ("bnpo", {}, -(1 + 3 * 3) / 4),
        ("dapo", {"tokens": 8}, -(1 + 3 * 3) / 8),
        ("dr_grpo", {"longest": 10}, -(1 + 3 * 3) / 30),
        ("luspo", {"level": "sequence"}, -(1 + 3 * 3) / 3),
    ],
)
def test_what_each_name_takes_the_mean_of(name: str, options: dict[str, float], expected: float) -> None:
    """On policy, with lengths 1, 3 and 0, advantages 1, 3 and 5: the empty candidate has loss 0 and is counted."""
    rows = group([[-1.0], [-1.0, -2.0, -3.0], []], [1.0, 3.0, 5.0])
    assert group_token_loss(name, rows, **options).item() == pytest.approx(expected)


def test_a_batch_without_tokens_has_loss_0() -> None:
    empty = group([[], []], [1.0, -1.0], reference=[[], []])
    for name in ("grpo", "bnpo", "dapo", "cispo", "vespo", "luspo", "sapo"):
        assert group_token_loss(name, empty, beta=0.1).item() == 0.0
    assert unigrpo(empty).item() == 0.0


def test_the_divergence_grows_where_the_policy_excludes_what_the_reference_likes() -> None:
    q = torch.tensor([0.0, 3.0, -3.0, INF, -INF], dtype=torch.float64, requires_grad=True)
    found = k3(q)
    assert found[:3].tolist() == pytest.approx([0.0, math.exp(3) - 4, math.exp(-3) + 2])
    assert found[3].isfinite()
    assert found[4].item() == INF
    assert slopes(found.sum(), q)[0][[0, 3, 4]].tolist() == [0.0, 0.0, -1.0]
    one = group([[math.log(2.0)]], [0.0], [[0.0]], [[0.0]])
    third = 0.5 + math.log(2.0) - 1
    assert group_token_loss("grpo", one, 0.1).item() == pytest.approx(0.1 * third)
    assert group_token_loss("grpo", one, 0.1, unbiased=True).item() == pytest.approx(0.1 * third * 2)


def test_unigrpo_means_the_policys_term_and_sums_the_divergence() -> None:
    one = group([[0.1, 0.1], []], [1.0, 1.0], [[0.0, 0.0], []])
    policy = -math.exp(0.1) / 2
    assert unigrpo(one, beta=0.5, third=False).item() == pytest.approx(policy + 0.5 * 0.2 / 2)
    assert unigrpo(one, beta=0.5).item() == pytest.approx(policy + 0.5 * 2 * (math.exp(-0.1) - 1 + 0.1) / 2)


EDGES = [[-INF, -1.0, -2.0], [-1.0, -INF], [-900.0, -1.0]]
OTHERS = [[-INF, -INF, -1.0], [-2.0, -0.5], [-1.0, -900.0]]


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("name", ["grpo", "bnpo", "dapo", "dr_grpo", "luspo", "sapo", "cispo", "vespo"])
def test_impossible_tokens_give_numbers(name: str, level: str) -> None:
    """Under the policy, the one that drew and the reference, in all combinations; TRL gives NaN for several."""
    for old in (None, OTHERS):
        for unbiased in (False, True):
            for worth in ([1.0, -1.0, 2.0], [-1.0, 1.0, math.nan]):
                rows = group(EDGES, worth, old, [[-INF, -1.0, -INF], [-1.0, -INF], [-1.0, -1.0]])
                loss = group_token_loss(name, rows, 0.1, unbiased, longest=5, level=level)
                assert not loss.isnan()
                assert loss > -INF
                slopes(loss, rows.log_probs)
                slopes(unigrpo(rows), rows.log_probs)


def test_a_token_that_nobody_draws_is_as_if_it_were_not_there() -> None:
    """exp(-inf - -inf) is NaN in TRL."""
    with_it = group([[-1.0, -INF], [-2.0]], [1.0, -1.0], [[-1.1, -INF], [-2.1]])
    without = group([[-1.0], [-2.0]], [1.0, -1.0], [[-1.1], [-2.1]])
    for name in ("grpo", "bnpo", "cispo"):
        assert group_token_loss(name, with_it).item() == group_token_loss(name, without).item()


@pytest.mark.parametrize("rewards", [[[2.0]], [[1.0, 1.0, 1.0]], [[math.nan, 1.0]], [[math.nan, math.nan]]])
def test_groups_that_say_nothing_move_nothing(rewards: list[list[float]]) -> None:
    """One candidate, equal rewards, and rewards of which at most one is a number."""
    worth = advantages(torch.tensor(rewards, dtype=torch.float64)).flatten().tolist()
    for given in (worth, [math.nan] * len(worth)):
        rows = group([[-1.0, -2.0]] * len(worth), given, [[-1.5, -1.5]] * len(worth))
        for name in ("grpo", "dapo", "sapo", "cispo", "vespo"):
            loss = group_token_loss(name, rows)
            assert loss.item() == 0.0
            assert not slopes(loss, rows.log_probs)[0].any()


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match="give longest"):
        group_token_loss("dr_grpo", group([[-1.0]], [1.0]))
    with pytest.raises(ValueError, match="give reference, or beta 0"):
        group_token_loss("grpo", group([[-1.0]], [1.0]), beta=0.1)
