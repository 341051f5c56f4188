"""mPLUG's own beam search (modelscope 1.40.2), over many questions at once; it is not that of transformers."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

START, END = 101, 102
FORBIDDEN = -1e20


class Hypothesis(NamedTuple):
    """Token ids with the leading 101, and the length-penalised log-probability."""

    ids: tuple[int, ...]
    score: float


def beam_search(
    next_logits: Callable[[Tensor, Tensor], Tensor],
    rows: int,
    beams: int,
    min_length: int,
    max_length: int,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """For each of ``rows`` questions at most ``beams`` hypotheses, best first; the first one is the answer.

    ``next_logits(prefixes, parents)`` takes the living beams (rows, beams, t) and, for each, the beam of the step
    before that it goes on from (rows, beams), and gives the logits after it (rows, beams, vocabulary). Lengths count
    new tokens.

    What it does that others do not: a beam that ends in 102 is kept as a hypothesis and goes on living, so ids may hold
    a 102 with more tokens behind it; a search is over only when the best beam ends, and then all beams count as ended.
    Scores are divided by ((5 + length) / 6) ** 0.6. Each question is searched as if it were alone.
    """
    prefixes = torch.full((rows, beams, 1), START, device=device)
    parents = torch.arange(beams, device=device).expand(rows, beams)
    running = torch.full((rows, beams), float("-inf"), device=device)
    running[:, 0] = 0
    found: list[list[Hypothesis]] = [[] for _ in range(rows)]
    searching = list(range(rows))
    for step in range(max_length):
        log_probs = next_logits(prefixes, parents).softmax(-1).log()
        if step < min_length:
            log_probs[..., END] = FORBIDDEN
        penalty = ((5 + step + 1) / 6) ** 0.6
        scores, chosen = ((log_probs + running[..., None]) / penalty).flatten(1).topk(beams)
        running = scores * penalty
        parents, tokens = chosen // log_probs.shape[-1], chosen % log_probs.shape[-1]
        kept = prefixes.gather(1, parents[..., None].expand_as(prefixes))
        prefixes = torch.cat([kept, tokens[..., None]], -1)
        ended = tokens == END if step < max_length - 1 else torch.ones_like(tokens, dtype=torch.bool)
        marks, ids, values = (ended | ended[:, :1]).tolist(), prefixes.tolist(), scores.tolist()
        for row in searching:
            found[row] += [
                Hypothesis(tuple(ids[row][beam]), values[row][beam]) for beam in range(beams) if marks[row][beam]
            ]
        searching = [row for row in searching if not marks[row][0]]
        if not searching:
            break
    return [sorted(hypotheses, key=lambda one: -one.score)[:beams] for hypotheses in found]
