"""The released way to run VILA-U, in plain torch over our weights: the peer of vilau_speed.py.

What is done and in which order is that of mit-han-lab/vila-u at 096623c under transformers 4.36: one question at a
time, logits of all positions over the whole vocabulary; of pictures every empty prompt is read, the depth transformer
begins anew for every code, all codes of a position are looked up for each of them, and a token of text is drawn at
every position and thrown away. ``cached`` is whether the language model keeps what it has read, as it does there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.vilau.network import Network

TOP_K, TOP_P = 900, 0.96
TEXT_TOP_K, TEXT_TOP_P, TEXT_TEMPERATURE = 50, 0.9, 0.6


class Reader:
    """The language model behind what it has read so far, (R, L, H) embeddings of R rows without padding."""

    def __init__(self, model: Network, cached: bool) -> None:
        self.model, self.seen = model, None
        self.cache = DynamicCache(config=model.llm.config) if cached else None

    def __call__(self, embedded: Tensor, attention: Tensor) -> Tensor:
        """The last states (R, H) behind further embeddings, and all logits, which the released way computes."""
        if self.cache is None:
            self.seen = embedded if self.seen is None else torch.cat([self.seen, embedded], 1)
            embedded = self.seen
        return self.model.read(embedded, attention, self.cache)


@torch.no_grad()
def write_released(model: Network, prompt: Sequence[int], features: Tensor, count: int, cached: bool) -> list[int]:
    """``count`` greedy tokens behind one prompt and the features (N, C) of its picture."""
    read = Reader(model, cached)
    embedded = model.embedded(torch.tensor([list(prompt)], device=model.device), features)
    attention = torch.ones(embedded.shape[:2], dtype=torch.long, device=model.device)
    written: list[int] = []
    while True:
        logits = model.llm.lm_head(read(embedded, attention)).float()
        written.append(int(logits[0, -1].argmax()))
        if len(written) == count:
            return written
        embedded = model.llm.get_input_embeddings()(torch.tensor([written[-1:]], device=model.device))
        attention = torch.cat([attention, attention.new_ones(1, 1)], 1)


@torch.no_grad()
def draw_released(
    model: Network, prompts: Sequence[Sequence[int]], empty: Sequence[int], guidance: float, seed: int,
    cached: bool = True, greedy: bool = False,
) -> Tensor:  # fmt: skip
    """The codes (B, N, D) of a picture for each prompt; all draws come from one generator."""
    generator = torch.Generator(model.device).manual_seed(seed)
    rows = [*prompts, *[empty] * len(prompts)]
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + list(row) for row in rows], device=model.device)
    attention = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=model.device)
    read, depth = Reader(model, cached), model.tower.depth
    embedded, positions = model.llm.get_input_embeddings()(ids), []
    for _ in range(model.tower.positions):
        hidden = read(embedded, attention)[:, -1]
        codes = hidden.new_zeros(len(rows), 0, dtype=torch.long)
        for place in range(depth):
            told = _last(model, hidden, codes).float()
            conditional, free = told.chunk(2)
            mixed = free + guidance * (conditional - free)
            code = mixed.argmax(-1, keepdim=True) if greedy else _draw(mixed, TOP_K, TOP_P, generator)
            codes = torch.cat([codes, code.repeat(2, 1)], 1)
            assert codes.shape[1] == place + 1
        positions.append(codes[: len(prompts)])
        embedded = model.project(model.tower.sums(codes)[:, -1])[:, None]
        text = model.llm.lm_head(embedded)[:, -1].float() / TEXT_TEMPERATURE
        _draw(text, TEXT_TOP_K, TEXT_TOP_P, generator)
        attention = torch.cat([attention, attention.new_ones(len(rows), 1)], 1)
    return torch.stack(positions, 1)


def _last(model: Network, hidden: Tensor, codes: Tensor) -> Tensor:
    """Logits (R, K) of the next code, from the state (R, H) and all codes (R, d) so far, read again from the first."""
    depth, drawn = model.rqtransformer, codes.shape[1]
    inputs = depth.in_mlp_2(hidden)[:, None]
    if drawn:
        rows = torch.stack([model.tower.rows(codes[:, place], place) for place in range(drawn)], 1).cumsum(1)
        inputs = torch.cat([inputs, depth.in_mlp_1(rows.to(inputs))], 1)
    states = inputs + depth.pos_emb_d[:, : drawn + 1]
    for block in depth.head_transformer["blocks"]:
        states = block(states)
    logits: Tensor = depth.classifier_mlp["linear"](depth.classifier_mlp["layer_norm"](states))
    return logits[:, -1]


def _draw(logits: Tensor, top_k: int, top_p: float, generator: torch.Generator) -> Tensor:
    """One entry (B, 1) of (B, K) logits behind top-k and top-p."""
    least = logits.topk(min(top_k, logits.shape[-1]), -1).values[:, -1:]
    likely = logits.masked_fill(logits < least, -torch.inf).softmax(-1)
    falling, places = likely.sort(-1, descending=True)
    falling = falling.masked_fill(falling.cumsum(-1) - falling >= top_p, 0.0)
    chosen = torch.multinomial(falling / falling.sum(-1, keepdim=True), 1, generator=generator)
    return places.gather(1, chosen)
