"""Prompt to text behind an image or nothing: decoding with a key-value cache, ragged prompts in one batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.tiny.drawing import pick
from hermes.harness.models.tiny.packing import (
    ANS,
    END,
    PAD,
    SPECIALS,
    TEXT_PLACE,
    collate,
    planning_prefix,
    understanding_row,
)
from hermes.harness.models.tiny.transformer import Cache, Transformer, Trunk
from hermes.harness.records.seeds import derive_seed

PLAN_TOKENS = 40


@dataclass(frozen=True)
class Ask:
    """One prompt behind the prefix with number ``image``; temperature 0 is greedy, top_k 0 leaves every token in."""

    image: int
    prompt: Sequence[int]
    seed: int = 0
    max_new_tokens: int = 48
    temperature: float = 0.0
    top_k: int = 0


class _Sampler:
    """Chooses each row's next token from its own noise."""

    def __init__(self, asks: Sequence[Ask], device: torch.device) -> None:
        self.temperature = torch.tensor([ask.temperature for ask in asks], device=device)
        self.top_k = torch.tensor([ask.top_k for ask in asks], device=device)
        longest = max(ask.max_new_tokens for ask in asks)
        noise = torch.zeros(len(asks), longest)
        for row, ask in enumerate(asks):
            if ask.temperature > 0:
                noise[row] = torch.rand(longest, generator=torch.Generator().manual_seed(ask.seed))
        self.noise = noise.to(device)

    def __call__(self, logits: Tensor, rows: Tensor, step: int) -> Tensor:
        """(A, V) logits of the active rows to (A,) tokens."""
        never = [index for index in range(len(SPECIALS)) if index != END]
        logits[:, never] = -torch.inf
        best = logits.argmax(-1)
        temperature, top_k = self.temperature[rows], self.top_k[rows]
        if not bool((temperature > 0).any()):
            return best
        ordered, order = logits.sort(stable=True, dim=-1, descending=True)
        rank = torch.arange(logits.shape[-1], device=logits.device)
        ordered = ordered.masked_fill((top_k[:, None] > 0) & (rank >= top_k[:, None]), -torch.inf)
        probabilities = torch.softmax(ordered / temperature.clamp_min(1e-6)[:, None], -1)
        drawn = order.gather(1, pick(probabilities, self.noise[rows, step])[:, None])[:, 0]
        return torch.where(temperature > 0, drawn, best)


def _prompts(asks: Sequence[Ask], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts and <ans>, padded on the right (B, P), and their lengths (B,)."""
    lengths = torch.tensor([len(ask.prompt) + 1 for ask in asks])
    tokens = torch.full((len(asks), int(lengths.max())), PAD)
    for row, ask in enumerate(asks):
        tokens[row, : len(ask.prompt) + 1] = torch.tensor([*ask.prompt, ANS])
    return tokens.to(device), lengths.to(device)


def _select(past: Cache, rows: Tensor) -> Cache:
    return [(key.index_select(0, rows), value.index_select(0, rows)) for key, value in past]


@torch.inference_mode()
def see(model: Transformer, codes: Tensor) -> Cache:
    """What is kept of N pictures, codes (N, 36), for answers about them."""
    ids = (codes.cpu() + model.shape.text).numpy()
    prefix = collate([understanding_row(image, []) for image in ids]).to(codes.device)
    past: Cache = model(prefix.tokens, prefix.place, prefix.cell, prefix.mask)[1]
    return past


def write_plans(
    model: Trunk, prompts: Sequence[Sequence[int]], seeds: Sequence[int], temperature: float
) -> list[list[int]]:
    """For each prompt of a picture the plan's token ids, without <end>; empty where the prompt names every place."""
    asks = [
        Ask(0, prompt, derive_seed(seed, "plan"), PLAN_TOKENS, temperature)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    prefix = collate([planning_prefix()]).to(model.head.weight.device)
    with torch.inference_mode():
        past = model.text(prefix.tokens, prefix.place, prefix.mask)[1]
    return write(model, past, asks)


@torch.inference_mode()
def write(model: Trunk, past: Cache, asks: Sequence[Ask]) -> list[list[int]]:
    """The answer's token ids for each ask, without <end>. ``past`` is the cache of prefixes of one length."""
    device = model.head.weight.device
    before = past[0][0].shape[2]
    past = _select(past, torch.tensor([ask.image for ask in asks], device=device))

    tokens, lengths = _prompts(asks, device)
    rows, width = tokens.shape
    order = torch.arange(width, device=device)
    seen = torch.ones(rows, before, dtype=torch.bool, device=device)
    causal = (order <= order[:, None]).expand(rows, -1, -1)
    mask = torch.cat([seen[:, None].expand(-1, width, -1), causal], 2)
    place = (TEXT_PLACE + order)[None, :, None].expand(rows, -1, 2)
    hidden, past = model.text(tokens, place, mask, past)
    hidden = hidden[torch.arange(rows, device=device), lengths - 1]
    seen = torch.cat([seen, order < lengths[:, None]], 1)

    sample = _Sampler(asks, device)
    budget = torch.tensor([ask.max_new_tokens for ask in asks], device=device)
    active = torch.arange(rows, device=device)
    answers: list[list[int]] = [[] for _ in asks]
    step = 0
    while True:
        chosen = sample(model.text_logits(hidden), active, step)
        for row, token in zip(active.tolist(), chosen.tolist(), strict=True):
            if token != END:
                answers[row].append(token)
        step += 1
        going = ((chosen != END) & (step < budget[active])).nonzero()[:, 0]
        if not len(going):
            return answers
        if len(going) < len(active):
            active, chosen, seen, past = active[going], chosen[going], seen[going], _select(past, going)
        seen = torch.cat([seen, seen.new_ones(len(seen), 1)], 1)
        place = (TEXT_PLACE + lengths[active] + step - 1)[:, None, None].expand(-1, 1, 2)
        states, past = model.text(chosen[:, None], place, seen[:, None], past)
        hidden = states[:, 0]
