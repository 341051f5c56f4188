"""What showo_speed.py measures: answers, images and training steps, the released way and ours, on the same weights."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from showo_released import Side, dpo, draw_released, pair_loss_released, write_released
from showo_sizes import Size, image_flops, moved, pair_flops, pairs, pictures, random_phi, text_flops, texts
from torch import Tensor

from hermes.harness.models.maskgit import Drawing, empty_image
from hermes.harness.models.masks import masks_of
from hermes.harness.models.row_noise import row_generator
from hermes.harness.models.showo.images import draw_image
from hermes.harness.models.showo.likelihood import (
    NOTHING,
    Likelihood,
    Prepared,
    collate_items,
    image_row,
)
from hermes.harness.models.showo.text import Ask, write

GUIDANCE = 5.0
BATCH = 8
PAIRS = (1, 4)
RATE = 2e-5


@dataclass(frozen=True)
class Variant:
    """``run`` does ``units`` of work that need ``flops``; ``peer`` names the released variant to compare with."""

    name: str
    peer: str
    units: int
    flops: float
    run: Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """Variants, and a check that says what differs between them, or nothing."""

    variants: list[Variant]
    difference: Callable[[], str]


def text_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Greedy answers of ``tokens`` ids, each about its own image."""
    model = random_phi(size, chosen.device, chosen.type)
    images = pictures(size, BATCH).to(chosen.device)
    prompts = texts(size, BATCH, size.prompt, "prompts")

    def released(row: int) -> list[int]:
        return write_released(model, size.layout, images[row], prompts[row], chosen.tokens)

    def ours(rows: int) -> list[list[int]]:
        asks = [Ask(row, prompts[row], max_new_tokens=chosen.tokens) for row in range(rows)]
        return write(model, size.layout, images[:rows], asks, None)

    def difference() -> str:
        wanted, single, batch = {row: released(row) for row in (0, BATCH - 1)}, ours(1), ours(BATCH)
        same = single[0] == wanted[0] and all(batch[row] == tokens for row, tokens in wanted.items())
        return "" if same else "the tokens differ"

    work = text_flops(size, chosen.tokens)
    return Case(
        [
            Variant("released, batch 1", "released, batch 1", chosen.tokens, work, lambda: released(0)),
            Variant("ours, batch 1", "released, batch 1", chosen.tokens, work, lambda: ours(1)),
            Variant(
                f"ours, batch {BATCH}", "released, batch 1", BATCH * chosen.tokens, BATCH * work, lambda: ours(BATCH)
            ),
        ],
        difference,
    )


def image_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Images with guidance at temperature 1, each with its own generator."""
    model = random_phi(size, chosen.device, chosen.type)
    prompts = texts(size, BATCH, size.prompt // 2, "prompts")
    drawing = Drawing(chosen.steps, GUIDANCE, 1.0)

    def released(first: int, rows: int = 1) -> Tensor:
        generator = torch.Generator(chosen.device).manual_seed(first)
        asked = prompts[first : first + rows]
        return draw_released(model, size.layout, asked, size.image, chosen.steps, GUIDANCE, generator)

    def ours(rows: int) -> Tensor:
        generators = [row_generator(row, chosen.device) for row in range(rows)]
        blank = empty_image(rows, size.image, size.layout.vocabulary.mask, torch.device(chosen.device))
        return draw_image(model, size.layout, prompts[:rows], blank, generators, drawing)

    def difference() -> str:
        wanted, single, batch = {row: released(row) for row in (0, BATCH - 1)}, ours(1), ours(BATCH)
        same = torch.equal(single, wanted[0]) and all(torch.equal(batch[row], ids[0]) for row, ids in wanted.items())
        return "" if same else "the tokens differ"

    work = image_flops(size, chosen.steps)
    return Case(
        [
            Variant("released, batch 1", "released, batch 1", 1, work, lambda: released(0)),
            Variant(f"released, batch {BATCH}", "released, batch 1", BATCH, BATCH * work, lambda: released(0, BATCH)),
            Variant("ours, batch 1", "released, batch 1", 1, work, lambda: ours(1)),
            Variant(f"ours, batch {BATCH}", "released, batch 1", BATCH, BATCH * work, lambda: ours(BATCH)),
        ],
        difference,
    )


def train_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Pair-DPO steps on one or more pairs: weights in float32, arithmetic in ``dtype``."""
    reference = random_phi(size, chosen.device)
    policy = moved(random_phi(size, chosen.device)).requires_grad_()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=RATE, weight_decay=0.01)
    mixed = torch.autocast(torch.device(chosen.device).type, chosen.type, enabled=chosen.type != torch.float32)

    def log_probs(module: Likelihood, items: Sequence[Prepared]) -> Tensor:
        """(2,): winners' minus losers' sums of the images and of the texts; images and texts pass apart."""
        kinds = [[item for item in items if (item.text is None) == image] for image in (True, False)]
        batches = [collate_items(size.layout, kind).to(chosen.device) for kind in kinds]
        sums = [module(batch)[0] for batch in batches]
        return torch.stack([(told[::2] - told[1::2]).sum() for told in sums])

    def released(win: Side, lose: Side) -> Tensor:
        with mixed:
            return pair_loss_released(policy, reference, size.layout, win, lose)

    def known(items: Sequence[Prepared]) -> Tensor:
        with mixed, torch.no_grad():
            return log_probs(Likelihood(reference), items)

    def ours(items: Sequence[Prepared], before: Tensor) -> Tensor:
        with mixed:
            told = log_probs(Likelihood(policy), items)
        return dpo(told - before)

    def gradients(loss: Tensor) -> tuple[float, Tensor]:
        optimizer.zero_grad()
        loss.backward()
        slopes = [weight.grad.flatten() for weight in policy.parameters() if weight.grad is not None]
        return float(loss.detach()), torch.cat(slopes)

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def difference() -> str:
        items = pairs(size, max(PAIRS))
        wanted, slopes = gradients(released(*sides_of(size, items, chosen.device)))
        loss, found = gradients(ours(items, known(items)))
        gap, off = abs(loss - wanted), float((found - slopes).norm() / slopes.norm())
        return "" if gap < 1e-3 and off < 1e-3 else f"losses {loss} and {wanted}, gradients {off:.1e} apart"

    variants = []
    for rows in PAIRS:
        items = pairs(size, rows)
        sides = sides_of(size, items, chosen.device)
        before = torch.zeros(2, device=chosen.device) if chosen.only else known(items)  # nothing may run before a peak
        work, peer = pair_flops(size, items), f"released, {rows} + {rows} rows"
        variants += [
            Variant(peer, peer, rows, work, lambda sides=sides: step(released(*sides))),
            Variant(f"ours, {rows} + {rows} rows", peer, rows, work, lambda i=items, b=before: step(ours(i, b))),
            Variant(f"reference pass, {rows} + {rows}", peer, rows, work / 3, lambda items=items: known(items)),
        ]
    return Case(variants, difference)


def sides_of(size: Size, items: Sequence[Prepared], device: str) -> tuple[Side, Side]:
    """The same items as the released trainer lays them out: everything to one length, labels wherever it counts."""
    layout = size.layout
    length = size.max_text + size.image + 3
    both = []
    for side in (items[::2], items[1::2]):
        images = [item for item in side if item.text is None]
        rows = [
            image_row(layout, item.prompt, item.image.tolist(), masks_of(item.seed, size.image)[0]) for item in images
        ]
        ids, labels = [row.ids for row in rows], [row.target for row in rows]
        for item in side:
            if item.text is not None:
                before = [*layout.seen_image(item.image.tolist()), *item.prompt]
                rest = length - len(before) - len(item.text)
                ids.append([*before, *item.text, *[layout.vocabulary.pad] * rest])
                labels.append([NOTHING] * len(before) + [*item.text, *[NOTHING] * rest])
        both.append(Side(torch.tensor(ids, device=device), torch.tensor(labels, device=device), len(images)))
    return both[0], both[1]


CASES = {"text": text_case, "images": image_case, "train": train_case}
