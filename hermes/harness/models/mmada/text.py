"""Semi-autoregressive masked decoding of texts: block after block, in each the surest tokens first.

Source: Gen-Verse/MMaDA commit 3cdb870, models/modeling_mmada.py (mmu_generate) and generate.py, after LLaDA. There
every step computes logits and float64 probabilities of the whole row; here those of masked places up to the block's
end, which are all that count. Keys and values cannot be kept: every token sees the answer, so all change at every step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models.maskgit import guided
from hermes.harness.models.mmada.reading import hidden_of, logits_of, padded
from hermes.harness.models.seeded import Draw
from hermes.harness.system.errors import HermesError

BLOCK = 128
TOKENS_A_STEP = 2


@dataclass(frozen=True)
class Writing:
    """How answers of ``tokens`` ids are written: in blocks of ``block``, with ``steps`` over all of them.

    steps None: two tokens a step. guidance w > 0: logits are (1 + w) c - w u, where u does not know the prompt; the
    authors' scripts have none. at_random: places are chosen at random, not by confidence (LLaDA's "random" remasking).
    """

    tokens: int
    steps: int | None = None
    block: int = BLOCK
    guidance: float = 0.0
    at_random: bool = False

    def plan(self) -> list[tuple[int, int]]:
        """Each step's end of its block and how many tokens it writes, which are as equal as can be, the more first.

        Raises HermesError where the steps cannot be divided over the blocks.
        """
        ends = [min(at + self.block, self.tokens) for at in range(0, self.tokens, self.block)]
        if self.steps is not None and (self.steps < 1 or self.steps % len(ends)):
            raise HermesError(
                f"text_steps: {self.steps} steps cannot be divided evenly over {len(ends)} blocks of {self.block} "
                f"tokens; give a multiple of {len(ends)}, or another block_length"
            )
        found = []
        for begin, end in zip([0, *ends], ends, strict=False):
            size = end - begin
            steps = math.ceil(size / TOKENS_A_STEP) if self.steps is None else min(self.steps // len(ends), size)
            found += [(end, size // steps + (step < size % steps)) for step in range(steps)]
        return found


class Draws:
    """The random numbers of each row, from the row's own seed, where the network is: each token takes thousands."""

    def __init__(self, draws: Sequence[Draw], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(draw.seed) for draw in draws]

    def tokens(self, row: int, places: Tensor, width: int) -> Tensor:
        """Uniform numbers (n, width), float64, for the tokens at n places of a row's answer."""
        return self._uniform(row, torch.float64, len(places), width)

    def order(self, row: int, places: Tensor) -> Tensor:
        """Uniform numbers (n,) for the order of places."""
        return self._uniform(row, torch.float32, len(places))

    def _uniform(self, row: int, dtype: torch.dtype, *shape: int) -> Tensor:
        generator = self.generators[row]
        return torch.rand(shape, generator=generator, dtype=dtype, device=generator.device)


def write(
    network: Any,
    mask: int,
    prompts: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    writing: Writing,
    ends: Sequence[int] = (),
) -> list[list[int]]:
    """The new token ids of each prompt, up to but without the first of ``ends``; without ends all of them."""
    random = Draws(draws, network.get_output_embeddings().weight.device)
    *_, last = write_steps(network, mask, prompts, draws, writing, random, ends)
    return [_until(row, ends) for row in last.tolist()]


@torch.inference_mode()
def write_steps(
    network: Any,
    mask: int,
    prompts: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    writing: Writing,
    random: Draws,
    ends: Sequence[int] = (),
) -> Iterator[Tensor]:
    """The answers (B, tokens) before each step and, last, after all; ``mask`` stands where nothing is written yet.

    A row whose text is complete, all being known up to one of ``ends``, leaves the batch: nothing behind it is read.
    """
    device = network.get_output_embeddings().weight.device
    rows = [[*prompt, *[mask] * writing.tokens] for prompt in prompts]
    ids, real, places = (part.to(device) for part in padded(rows, [0] * len(rows), mask))
    start, stops = ids.shape[1] - writing.tokens, torch.tensor(ends, device=device)
    answers, active = ids[:, start:].clone(), torch.arange(len(rows), device=device)
    for end, count in writing.plan():
        yield answers.clone()
        ids[active, start:] = answers[active]
        unknown = answers[active, :end] == mask
        hidden = _hidden(network, ids[active], real[active], places[active], start, mask, writing)
        hidden = hidden[:, start : start + end]
        for at, row in enumerate(active.tolist()):
            spots = unknown[at].nonzero()[:, 0]
            logits = guided(logits_of(network, hidden[at :: len(active), spots]), writing.guidance)[0]
            tokens, sure = _propose(logits, row, draws[row], spots, random, writing.at_random)
            best = sure.topk(min(count, len(spots))).indices
            answers[row, spots[best]] = tokens[best]
        known = (answers[active, :end] == mask).cumsum(1) == 0
        active = active[~(known & torch.isin(answers[active, :end], stops)).any(1)]
        if not len(active):
            break
    yield answers


def _hidden(network: Any, ids: Tensor, real: Tensor, places: Tensor, start: int, mask: int, writing: Writing) -> Tensor:
    """(B, L, width), or with guidance (2 B, L, width), where the second half has masks in place of its prompts."""
    if writing.guidance > 0:
        blind = ids.clone()
        blind[:, :start] = mask
        ids, real, places = torch.cat([ids, blind]), real.repeat(2, 1), places.repeat(2, 1)
    return hidden_of(network, ids, real, places)


def _propose(
    logits: Tensor, row: int, draw: Draw, spots: Tensor, random: Draws, at_random: bool
) -> tuple[Tensor, Tensor]:
    """The tokens (n,) for n places from logits (n, V), and how sure each is (n,), without the noise of its draw."""
    wide = logits.double()
    tokens = logits.argmax(-1)
    if draw.temperature > 0:
        uniform = random.tokens(row, spots, logits.shape[-1])
        tokens = (_kept(wide, draw) - draw.temperature * (-uniform.log()).log()).argmax(-1)
    if at_random:
        return tokens, random.order(row, spots)
    return tokens, wide.softmax(-1).gather(-1, tokens[:, None])[:, 0]


def _kept(logits: Tensor, draw: Draw) -> Tensor:
    """The logits, -inf where top-k or top-p leaves a token out."""
    if not draw.top_k and draw.top_p == 1:
        return logits
    from hermes.harness.models.seeded_draws import probabilities

    return logits.masked_fill(probabilities(logits, draw) == 0, -torch.inf)


def _until(tokens: list[int], ends: Sequence[int]) -> list[int]:
    return tokens[: next((at for at, token in enumerate(tokens) if token in ends), len(tokens))]
