"""BAGEL as its authors run it, re-implemented plainly on our weights: a row at a time, a branch of guidance at a time.

Read from ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/qwen2_navit.py and bagel.py. Each segment of a context is
a forward. A cache is put together anew in every layer of every forward, with the new tokens between; where drawn tokens
are among them, both experts write into tensors of zeros by index. Left out: conversions between precisions.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hermes.harness.models.bagel.drawing import Sampling
from hermes.harness.models.bagel.experts import rotated, rotations
from hermes.harness.models.bagel.network import Bagel

Cache = list[tuple[Tensor, Tensor] | None]


class Context:
    """One row: its cache, and the next rotary place."""

    def __init__(self, network: Bagel) -> None:
        self.cache: Cache = [None] * len(network.language_model.model.layers)
        self.place = 0

    def text(self, network: Bagel, ids: list[int]) -> "Context":
        places = torch.arange(self.place, self.place + len(ids))
        words = network.language_model.model.embed_tokens(torch.tensor(ids))
        forward(network, words, places, self.cache, None, causal=True)
        self.place += len(ids)
        return self

    def seen(self, network: Bagel, marks: tuple[int, int], picture: tuple[Tensor, Tensor]) -> "Context":
        words = network.language_model.model.embed_tokens(torch.tensor(marks))
        told = network.seen(network.vit_model(*picture), picture[1])
        places = torch.full((len(told) + 2,), self.place)
        forward(network, torch.cat([words[:1], told, words[1:]]), places, self.cache, None)
        self.place += 1
        return self


def forward(
    network: Bagel,
    x: Tensor,
    places: Tensor,
    cache: Cache,
    drawn: Tensor | None,
    causal: bool = False,
    update: bool = True,
) -> Tensor:
    """States (T, width) of the tokens of a segment; ``drawn`` (T,) says which are the generation expert's."""
    body = network.language_model.model
    where = None if drawn is None else ((~drawn).nonzero()[:, 0], drawn.nonzero()[:, 0])
    turn = rotations(places, network.language_model.head, network.language_model.theta, x.dtype)
    for number, layer in enumerate(body.layers):
        attention = layer.self_attn
        normed = _routed(layer, "input_layernorm", x, where)
        query, key, value = (
            _split(_routed(attention, f"{name}_proj", normed, where), attention.head) for name in "qkv"
        )
        query = rotated(_routed(attention, "q_norm", query, where), turn)
        key = rotated(_routed(attention, "k_norm", key, where), turn)
        past = cache[number]
        before = 0 if past is None else len(past[0])
        merged = [new.new_zeros(before + len(new), *new.shape[1:]) for new in (key, value)]
        old, fresh = torch.arange(before), torch.arange(before, before + len(key))
        for place, new in enumerate((key, value)):
            merged[place][fresh] = new
            if past is not None:
                merged[place][old] = past[place]
        if update:
            cache[number] = (merged[0], merged[1])
        mask = None
        if causal and len(query) > 1:
            mask = torch.ones(len(query), before + len(query), dtype=torch.bool).tril(before)
        rows = (part.transpose(0, 1)[None] for part in (query, *merged))
        seen = scaled_dot_product_attention(*rows, attn_mask=mask, enable_gqa=True)[0].transpose(0, 1).flatten(1)
        x = x + _routed(attention, "o_proj", seen, where)
        x = x + _routed(layer, "mlp", _routed(layer, "post_attention_layernorm", x, where), where)
    return _routed(body, "norm", x, where)


def answer(network: Bagel, context: Context, begin: int, length: int) -> list[int]:
    """``length`` greedy ids."""
    ids, last = [], begin
    for step in range(length):
        words = network.language_model.model.embed_tokens(torch.tensor([last]))
        hidden = forward(network, words, torch.tensor([context.place + step]), context.cache, None)
        last = int(network.language_model.logits(hidden)[0].argmax())
        ids.append(last)
    return ids


def draw(
    network: Bagel, contexts: list[Context], marks: tuple[int, int], places: Tensor, noise: Tensor, sampling: Sampling,
    scale: float,
) -> Tensor:  # fmt: skip
    """Tokens (m, channels) of one picture behind [all, without the text, the texts alone]."""
    x, times = noise, sampling.times().tolist()
    drawn = torch.tensor([False, *[True] * len(noise), False])
    for now, then in pairwise(times):
        guided = sampling.guides(now)

        def velocity(context: Context, now: float = now, x: Tensor = x) -> Tensor:
            words = network.language_model.model.embed_tokens(torch.tensor(marks))
            tokens = network.drawn(x, torch.tensor([now]), torch.zeros(len(x), dtype=torch.long), places)
            packed = words.new_zeros(len(x) + 2, words.shape[1])
            packed[~drawn], packed[drawn] = words, tokens
            where = torch.full((len(packed),), context.place)
            hidden = forward(network, packed, where, context.cache, drawn, update=False)
            found: Tensor = network.llm2vae(hidden)[drawn]
            return found

        plain = velocity(contexts[0])
        mix = plain
        if guided:
            wordless = velocity(contexts[1])
            mix = wordless + scale * (plain - wordless)
            if sampling.image_guidance > 1:
                blind = velocity(contexts[2])
                mix = blind + sampling.image_guidance * (mix - blind)
            mix = mix * (plain.norm() / (mix.norm() + 1e-8)).clamp(sampling.least, 1.0)
        x = x - mix * (now - then)
    return x


def _routed(owner: torch.nn.Module, name: str, x: Tensor, where: tuple[Tensor, Tensor] | None) -> Tensor:
    """Each expert on its tokens; the understanding one on all where nothing is drawn."""
    first: Callable[[Tensor], Tensor] = getattr(owner, name)
    if where is None:
        return first(x)
    told = first(x[where[0]])
    whole = x.new_zeros(len(x), *told.shape[1:])
    whole[where[0]] = told
    whole[where[1]] = getattr(owner, f"{name}_moe_gen")(x[where[1]])
    return whole


def _split(x: Tensor, head: int) -> Tensor:
    return x.view(len(x), -1, head)
