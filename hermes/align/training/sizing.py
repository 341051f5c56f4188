"""What a training step keeps and computes, found out on a model without weights: two depths, two numbers of pairs.

Layers are alike and so are pairs, so what a step takes is linear in both, and four small passes tell all of it.
"""

from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, cast

from hermes.align.settings import TrainSettings
from hermes.harness.models.outline import Outline, Side
from hermes.harness.records.types import Record

if TYPE_CHECKING:
    from torch import Tensor

    from hermes.harness.contracts.model import Alignable

LOOKS_AT: dict[str, Side] = {"und": "text", "gen": "image"}
"""The objectives that look at one side of a pair alone."""


class StepSizes(Record):
    """Bytes and FLOPs of one training step on one process.

    ``weights``: of the whole module as it is loaded; ``trained``: of what is trained of it. ``outside``: of what is in
    no block, with its trained part; ``block``: of the largest block, likewise. A pass over m pairs takes at its peak
    ``fixed`` + m x ``pair``, and between forward and backward ``kept`` + m x ``kept_pair``: the peak of a few pairs
    may be later, where gradients of one side wait for those of the other, and that of many is not. ``flops``: of a
    pair's forward and backward pass; ``forward``: of one text, and of one picture, without gradients; ``row``: the
    peak of either's pass.
    """

    weights: int
    trained: int
    outside: int
    outside_trained: int
    block: int
    block_trained: int
    fixed: int
    pair: int
    kept: int
    kept_pair: int
    flops: float
    forward: dict[str, float]
    row: dict[str, int]


@cache
def step_sizes(
    outline: Outline,
    settings: TrainSettings,
    dtype: str,
    bf16: bool,
    cuda: bool,
    sides: tuple[Side, ...],
    tokens: int,
    again: bool = False,
) -> StepSizes:
    """The sizes of a step of ``settings`` in this precision.

    Texts have ``tokens`` tokens; ``again``: pictures are drawn from what is seen of them.
    """
    look = partial(_look, outline, settings, dtype, bf16, cuda, sides, tokens, again)
    few, more = look(1), look(2)
    grown = {name: _ahead(few[name], more[name], outline.layers - 1) for name in few}
    return StepSizes.model_validate({**grown, "block": few["block"], "block_trained": few["block_trained"]})


def _ahead(few: object, more: object, ahead: int) -> object:
    """A size of so many more layers, of its value for a few and for one more."""
    if isinstance(few, dict) and isinstance(more, dict):
        return {name: _ahead(few[name], more[name], ahead) for name in few}
    few, more = cast(float, few), cast(float, more)
    return few + ahead * (more - few)


def _look(
    outline: Outline,
    settings: TrainSettings,
    dtype: str,
    bf16: bool,
    cuda: bool,
    sides: tuple[Side, ...],
    tokens: int,
    again: bool,
    layers: int,
) -> dict[str, object]:
    """The sizes of a model of so few layers."""
    import torch

    from hermes.align.training.lora import Lora
    from hermes.align.training.preparing import without_dropout
    from hermes.align.training.sharding import blocks
    from hermes.harness.models.weightless import hollow, watched

    blank = outline.build(layers)
    if settings.lora_rank:
        Lora(cast("Alignable", blank), settings, 0)
    hollow(blank.module, getattr(torch, dtype))
    if settings.checkpointing and blank.recompute_activations:
        blank.recompute_activations(True)
    module = blank.module
    without_dropout(module)
    forward, row = dict[str, float](), dict[str, int]()
    for side in sides:
        batch = blank.batch(side, 1, tokens)
        with torch.no_grad(), watched(module, bf16, cuda) as live:
            module(batch)
        forward[side], row[side] = live.flops / 2, live.peak // 2
    for weight in module.parameters():
        if weight.requires_grad:
            weight.grad = torch.empty_like(weight)
    peaks = []
    for pairs in (1, 2):
        trained = [side for side in sides if LOOKS_AT.get(settings.objective) in (None, side)]
        batches = [blank.batch("again" if again and side == "image" else side, pairs, tokens) for side in trained]
        with watched(module, bf16, cuda) as live:
            total = torch.stack([module(batch)[0].sum() for batch in batches]).sum()
            kept = live.now
            total.backward()  # type: ignore[no-untyped-call]
        peaks.append((live.peak, kept, live.flops))
        del total
    (one, kept_one, flops), (two, kept_two, more) = peaks
    inside = blocks(module)
    held = {id(weight) for block in inside for weight in block.parameters()}
    outside = [weight for weight in module.parameters() if id(weight) not in held]
    return {
        "weights": _bytes([*module.parameters(), *module.buffers()]),
        "trained": _bytes(_trained(module.parameters())),
        "outside": _bytes(outside),
        "outside_trained": _bytes(_trained(outside)),
        "block": max((_bytes(block.parameters()) for block in inside), default=0),
        "block_trained": max((_bytes(_trained(block.parameters())) for block in inside), default=0),
        "fixed": one - (two - one),
        "pair": two - one,
        "kept": kept_one - (kept_two - kept_one),
        "kept_pair": kept_two - kept_one,
        "flops": float(more - flops),
        "forward": forward,
        "row": row,
    }


def _bytes(tensors: "Iterable[Tensor]") -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _trained(weights: "Iterable[Tensor]") -> "Iterator[Tensor]":
    return (weight for weight in weights if weight.requires_grad)
