"""mPLUG's beam search over logits written by hand, and against a plain search over random ones."""

import math
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hermes.harness.judges.mplug.search import END, START, Hypothesis, beam_search
from hermes.harness.records.seeds import derive_seed

A, B, C = 1, 2, 3
VOCABULARY = 104
Table = Mapping[tuple[int, ...], Mapping[int, float]]
Logits = Callable[[tuple[int, ...]], Tensor]


def scripted(table: Table) -> Logits:
    """Probabilities after each prefix (without the start); what is left is spread over all other tokens."""

    def logits(prefix: tuple[int, ...]) -> Tensor:
        said = table.get(prefix, {})
        rest = (1 - sum(said.values())) / (VOCABULARY - len(said))
        return torch.tensor([said.get(token, rest) for token in range(VOCABULARY)]).log()

    return logits


def search(
    scripts: Sequence[Logits], beams: int = 2, min_length: int = 0, max_length: int = 4
) -> list[list[Hypothesis]]:
    """One search over a script a row; checks that parents name the beams that prefixes come from."""
    before: list[list[list[int]]] = []

    def next_logits(prefixes: Tensor, parents: Tensor) -> Tensor:
        now = prefixes.tolist()
        for row, beams_before in enumerate(before):
            for beam, parent in enumerate(parents[row].tolist()):
                assert now[row][beam][:-1] == beams_before[parent]
        before[:] = now
        rows = [[script(tuple(prefix[1:])) for prefix in row] for script, row in zip(scripts, now, strict=True)]
        return torch.stack([torch.stack(row) for row in rows])

    return beam_search(next_logits, len(scripts), beams, min_length, max_length)


def only(table: Table, **settings: int) -> list[Hypothesis]:
    return search([scripted(table)], **settings)[0]


def said(hypotheses: Sequence[Hypothesis]) -> list[tuple[int, ...]]:
    assert all(one.ids[0] == START for one in hypotheses)
    return [one.ids[1:] for one in hypotheses]


def penalised(probability: float, length: int) -> float:
    return math.log(probability) / ((5 + length) / 6) ** 0.6


def test_one_beam_follows_the_likeliest_token_to_the_end() -> None:
    table = {(): {A: 0.7, END: 0.2}, (A,): {B: 0.6, END: 0.3}, (A, B): {END: 0.9}}
    assert said(only(table, beams=1)) == [(A, B, END)]


def test_the_score_is_the_log_probability_divided_by_the_length_penalty() -> None:
    best = only({(): {A: 0.7}, (A,): {END: 0.8}}, beams=1)[0]
    assert best.score == pytest.approx(penalised(0.7 * 0.8, 2), abs=1e-5)


def test_the_length_penalty_can_prefer_the_longer_answer() -> None:
    table = {(): {A: 0.7, B: 0.25}, (A,): {C: 0.98}, (A, C): {END: 0.98}, (B,): {END: 0.99}}
    assert penalised(0.25 * 0.99, 2) < penalised(0.7 * 0.98 * 0.98, 3)
    assert said(only(table))[0] == (A, C, END)


def test_all_beams_end_with_the_best_one_even_in_the_middle_of_an_answer() -> None:
    table = {(): {A: 0.6, B: 0.3}, (A,): {END: 0.9}, (B,): {C: 0.9}, (B, C): {END: 0.9}}
    assert said(only(table)) == [(A, END), (B, C)]


def test_a_beam_that_ended_lives_on_and_can_win_with_an_end_inside() -> None:
    table = {(): {A: 0.55, END: 0.4}, (A,): {B: 0.3}, (END,): {C: 0.99}, (END, C): {END: 0.99}}
    found = only(table)
    assert said(found) == [(END, C, END), (END,)]
    assert found[0].score == pytest.approx(penalised(0.4 * 0.99 * 0.99, 3), abs=1e-5)


def test_a_beam_that_ended_is_kept_though_what_follows_it_is_worse() -> None:
    table = {(): {A: 0.6, END: 0.35}, (A,): {B: 0.5, C: 0.45}, (A, B): {END: 0.5, C: 0.4}, (A, C): {B: 0.01}}
    assert (END,) in said(only(table))


def test_the_end_is_forbidden_before_the_least_length() -> None:
    table = {(): {END: 0.9, A: 0.05}, (A,): {END: 0.9, B: 0.05}, (A, B): {END: 0.9}}
    assert [said(only(table, beams=1, min_length=least))[0] for least in (0, 1, 2)] == [
        (END,),
        (A, END),
        (A, B, END),
    ]


def test_everything_ends_at_the_greatest_length() -> None:
    table = {(): {A: 0.6, B: 0.3}, (A,): {A: 0.9}, (B,): {B: 0.9}, (A, A): {A: 0.9}, (B, B): {B: 0.9}}
    assert said(only(table, max_length=3)) == [(A, A, A), (B, B, B)]


def test_no_more_hypotheses_than_beams() -> None:
    table = {(): {A: 0.5, END: 0.45}, (A,): {A: 0.5, END: 0.45}, (A, A): {A: 0.5, END: 0.45}, (A, A, A): {END: 0.9}}
    found = only(table)
    assert len(found) == 2
    assert found[0].score >= found[1].score


def plain_search(logits: Logits, beams: int, min_length: int, max_length: int) -> list[tuple[float, tuple[int, ...]]]:
    """The rules once more, with lists, in float64: (score, ids without the start), best first."""
    alive: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for step in range(max_length):
        penalty = ((6 + step) / 6) ** 0.6
        grown = []
        for total, ids in alive:
            for token, log_probability in enumerate(torch.log_softmax(logits(ids).double(), -1).tolist()):
                blocked = token == END and step < min_length
                grown.append(((total + (-1e20 if blocked else log_probability)) / penalty, (*ids, token)))
        best = sorted(grown, key=lambda one: -one[0])[:beams]
        over = best[0][1][-1] == END or step == max_length - 1
        ended += [one for one in best if over or one[1][-1] == END]
        if over:
            break
        alive = [(score * penalty, ids) for score, ids in best]
    return sorted(ended, key=lambda one: -one[0])[:beams]


def random_script(seed: int) -> Logits:
    def logits(prefix: tuple[int, ...]) -> Tensor:
        draw = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(derive_seed(seed, prefix)))
        draw[END] += 3
        return draw * 2

    return logits


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    beams=st.integers(1, 5),
    lengths=st.tuples(st.integers(0, 4), st.integers(1, 6)),
)
def test_equals_a_plain_search(seed: int, beams: int, lengths: tuple[int, int]) -> None:
    script = random_script(seed)
    wanted = plain_search(script, beams, *lengths)
    found = search([script], beams, *lengths)[0]
    assert said(found) == [ids for _, ids in wanted]
    assert [one.score for one in found] == pytest.approx([score for score, _ in wanted], rel=1e-4)


def test_rows_are_searched_as_if_each_were_alone() -> None:
    scripts = [random_script(seed) for seed in range(12)]
    together = search(scripts, beams=4, min_length=1, max_length=6)
    alone = [search([script], beams=4, min_length=1, max_length=6)[0] for script in scripts]
    assert [said(found) for found in together] == [said(found) for found in alone]
    assert len({len(found[0].ids) for found in together}) > 1, "all searches ended at the same step"
