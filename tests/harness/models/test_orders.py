"""Orders of parallel decoding: Halton's visits every cell once and spreads, the others follow confidence and noise."""

import torch

from hermes.harness.models.orders import halton_ranks, preference


def test_the_halton_order_of_a_grid_of_four() -> None:
    """Bases 2 and 3 by hand: (0, 0), (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), ... fall into cells 0, 2, 1, ..., 3."""
    assert halton_ranks(2).tolist() == [0, 2, 1, 3]


def test_halton_visits_every_cell_once_and_every_quarter_soon() -> None:
    for side in (6, 16, 32):
        ranks = halton_ranks(side).reshape(side, side)
        assert sorted(ranks.flatten().tolist()) == list(range(side * side))
        half = side // 2
        first = ranks < side * side // 4
        quarters = [
            first[rows, columns].float().mean()
            for rows in (slice(half), slice(half, None))
            for columns in (slice(half), slice(half, None))
        ]
        assert all(0.15 < share < 0.35 for share in quarters)


def test_confidence_counts_with_noise_and_random_and_halton_do_not_look_at_it() -> None:
    log_probs, noise, ranks = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1, 2, 0])
    assert preference("confidence", log_probs, noise, 0.0, ranks).tolist() == [-1.0, -2.0, -3.0]
    assert preference("confidence", log_probs, noise, 2.0, ranks).tolist() == [-1.0, 0.0, 3.0]
    assert preference("random", log_probs, noise, 2.0, ranks).tolist() == [0.0, 1.0, 3.0]
    assert preference("halton", log_probs, noise, 2.0, ranks).tolist() == [-1.0, -2.0, 0.0]
