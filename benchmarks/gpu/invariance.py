"""Whether companions in a batch change anything: answers, greedy pictures and likelihoods, one by one and together."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from showo_cases import BATCH, GUIDANCE
from showo_sizes import pairs, pictures, random_phi, texts
from torch import Tensor

from gpu.measuring import Figure, Place
from gpu.models import showo_size
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.maskgit import Drawing, empty_image
from hermes.harness.models.row_noise import row_generator
from hermes.harness.models.showo.images import draw_image
from hermes.harness.models.showo.likelihood import Likelihood, Prepared, collate_items
from hermes.harness.models.showo.text import Ask, write

NOISE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Nats a token that a likelihood may move by: sums of another batch shape are rounded otherwise."""
SAME = 0.8
"""Share of answers, and of picture tokens, that must be the same in float32: two near ties may fall otherwise, and what
follows one of them differs, too."""


def check(place: Place) -> Iterator[Figure]:
    """Show-o 1.3B in float32 without TensorFloat-32, then with bfloat16 weights or arithmetic."""
    told = Namespace(tokens=place.pick(32, 4), steps=place.pick(4, 2))
    for name in NOISE:
        model = random_phi(showo_size(place), place.device, getattr(torch, name))
        with full_float32(place.device):
            yield from answers(place, model, name, told.tokens)
            yield from drawn(place, model, name, told.steps)
        del model
    model = random_phi(showo_size(place), place.device)
    for name, most in NOISE.items():
        with full_float32(place.device):
            apart = likelihoods(place, model, name)
        yield Figure(
            f"likelihoods, {name}: the largest difference", apart, "nats a token", f"at most {most:g}", apart <= most
        )


def answers(place: Place, model: Any, name: str, tokens: int) -> Iterator[Figure]:
    """Greedy answers."""
    size = showo_size(place)
    seen, prompts = pictures(size, BATCH).to(place.device), texts(size, BATCH, size.prompt, "prompts")

    def written(rows: Sequence[int]) -> list[list[int]]:
        asks = [Ask(at, prompts[row], max_new_tokens=tokens) for at, row in enumerate(rows)]
        return write(model, size.layout, seen[list(rows)], asks, None)

    together = written(range(BATCH))
    same = sum(written([row])[0] == together[row] for row in range(BATCH)) / BATCH
    yield shares(f"answers, {name}: the same", same, name)


def drawn(place: Place, model: Any, name: str, steps: int) -> Iterator[Figure]:
    """Greedy pictures."""
    size = showo_size(place)
    prompts = texts(size, BATCH, size.prompt // 2, "prompts")

    def picture(rows: Sequence[int]) -> Tensor:
        blank = empty_image(len(rows), size.image, size.layout.vocabulary.mask, torch.device(place.device))
        generators = [row_generator(row, place.device) for row in rows]
        drawing = Drawing(steps, GUIDANCE, temperature=0.0)
        return draw_image(model, size.layout, [prompts[row] for row in rows], blank, generators, drawing)

    together = picture(range(BATCH))
    alone = torch.cat([picture([row]) for row in range(BATCH)])
    yield shares(f"picture tokens, {name}: the same", float((alone == together).float().mean()), name)


def shares(what: str, same: float, precision: str) -> Figure:
    """A share of what is the same, with a rule in float32 alone."""
    rule = precision == "float32"
    note = f"at least {SAME:.0%}" if rule else "near ties fall otherwise"
    return Figure(what, 100 * same, "%", note, same >= SAME if rule else None)


@torch.inference_mode()
def likelihoods(place: Place, model: Any, precision: str) -> float:
    """The largest difference, one by one against together, of pictures and of texts."""
    size, module = showo_size(place), Likelihood(model)
    items, apart = pairs(size, BATCH // 2), 0.0
    mixed = torch.autocast(torch.device(place.device).type, torch.bfloat16, enabled=precision != "float32")

    def told(some: Sequence[Prepared]) -> Tensor:
        with mixed:
            sums, counts = module(collate_items(size.layout, some).to(place.device))
        return sums.double() / counts

    for image in (True, False):
        kind = [item for item in items if (item.text is None) == image]
        together = told(kind)
        alone = torch.cat([told([item]) for item in kind])
        apart = max(apart, float((together - alone).abs().max()))
    return apart
