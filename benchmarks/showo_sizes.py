"""Sizes, random weights, inputs and FLOP counts of showo_speed.py."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.models.showo.likelihood import Prepared
from hermes.harness.models.showo.phi import Phi, Shape
from hermes.harness.models.showo.prompting import Layout
from hermes.harness.records.seeds import derive_seed

END = 1
DEVIATION = 0.04


@dataclass(frozen=True)
class Size:
    """A Show-o: ``image`` tokens of a picture, ``prompt`` ids of a question behind it, ``answer`` ids of a caption."""

    width: int
    layers: int
    heads: int
    inner: int
    words: int
    codes: int
    image: int
    max_text: int = 128
    prompt: int = 41
    answer: int = 64

    @property
    def config(self) -> ShowoConfig:
        return ShowoConfig(self.words, self.codes, self.image, max_text=self.max_text)

    @property
    def vocab(self) -> int:
        return int(self.config.as_json()["vocab_size"])

    @property
    def layout(self) -> Layout:
        return Layout(self.config.vocabulary(END), self.max_text)


SIZES = {
    "tiny": Size(64, 2, 4, 128, 200, 64, 16, max_text=24, prompt=8, answer=8),
    "small": Size(512, 8, 8, 2048, 4000, 1024, 256),
    "1.3b": Size(2048, 24, 32, 8192, 50295, 8192, 1024),
}


def random_phi(size: Size, device: str, dtype: torch.dtype = torch.float32) -> Phi:
    """Random weights, always the same on one device; wide enough that what is written depends on what is asked."""
    generator = torch.Generator(device).manual_seed(_seed("weights"))
    with torch.device("meta"):
        model = Phi(Shape(size.vocab, size.width, size.layers, size.heads, size.inner)).to(dtype)
    model = model.to_empty(device=device).requires_grad_(False).eval()
    for name, weight in model.named_parameters():
        weight.normal_(0, DEVIATION, generator=generator)
        if "norm" in name and name.endswith("weight"):
            weight.add_(1)
    return model


def moved(model: Phi) -> Phi:
    """The same model, its weights changed in place, as if by some training."""
    generator = torch.Generator(model.lm_head.weight.device).manual_seed(_seed("training"))
    for weight in model.parameters():
        weight.add_(torch.empty_like(weight).normal_(0, DEVIATION / 80, generator=generator))
    return model


def pictures(size: Size, count: int) -> Tensor:
    """Random image token ids (count, image)."""
    generator = torch.Generator().manual_seed(_seed("pictures"))
    return torch.randint(size.codes, (count, size.image), generator=generator) + size.layout.vocabulary.first_code


def texts(size: Size, count: int, length: int, name: str) -> list[list[int]]:
    """Random texts of so many ids, the first of them the end token, which begins every text."""
    rng = random.Random(_seed(name))
    return [[END, *(rng.randrange(END + 1, size.words) for _ in range(length - 1))] for _ in range(count)]


def pairs(size: Size, count: int) -> list[Prepared]:
    """Pair by pair: an image's winner and loser under one mask, then a text's winner and loser about one image."""
    seen = [image.numpy().astype(np.int64) for image in pictures(size, 3 * count)]
    asked = texts(size, count, size.prompt // 2, "questions")
    told = texts(size, 3 * count, size.answer // 2, "captions")
    items: list[Prepared] = []
    for n in range(count):
        win, lose, image = seen[3 * n : 3 * n + 3]
        items += [Prepared(tuple(told[3 * n]), chosen, None, seed=n) for chosen in (win, lose)]
        answers = ([*text[1:] * 2, END] for text in told[3 * n + 1 : 3 * n + 3])
        items += [Prepared(tuple(asked[n]), image, tuple(answer)) for answer in answers]
    return items


def forward_flops(size: Size, queries: int, seen: int, read: int) -> float:
    """Multiplications and additions of one forward pass, 2 for each weight and token:

    layers (2 queries (4 width^2 + 2 width inner) + 4 width seen) + 2 width read, where ``seen`` counts the (query, key)
    pairs that attend and ``read`` the logits that are wanted.
    """
    token = 2 * (4 * size.width**2 + 2 * size.width * size.inner)
    return size.layers * (queries * token + 4 * size.width * seen) + 2 * size.width * read


def text_flops(size: Size, tokens: int) -> float:
    """One answer: image and prompt once, then each new token."""
    before, behind = size.image + 3, size.prompt + tokens - 1
    seen = before**2 + behind * before + behind * (behind + 1) / 2
    return forward_flops(size, before + behind, int(seen), tokens * size.vocab)


def image_flops(size: Size, steps: int) -> float:
    """One image with guidance: both text parts once, then at each step both rows' image tokens."""
    text, image = size.max_text + 1, size.image + 2
    once = forward_flops(size, text, text * (text + 1) // 2, 0)
    return 2 * (once + steps * forward_flops(size, image, image * (text + image), size.image * size.codes))


def pair_flops(size: Size, items: list[Prepared]) -> float:
    """A training step on these items, forward and twice that backward; no reference, no optimizer.

    Two texts about one image need it and their prompt once.
    """
    total, image = 0.0, size.image + 2
    known: set[tuple[tuple[int, ...], bytes]] = set()
    for item in items:
        if item.text is None:
            text = size.max_text + 1
            seen, read = text * (text + 1) // 2 + image * (text + image), int(2 / np.pi * size.image)
            total += forward_flops(size, text + image, seen, read * size.vocab)
            continue
        begin, before, behind = size.image + 3, size.image + 3 + len(item.prompt), len(item.text)
        total += forward_flops(size, behind, behind * before + behind * (behind + 1) // 2, behind * size.vocab)
        if (item.prompt, item.image.tobytes()) not in known:
            known.add((item.prompt, item.image.tobytes()))
            asked = before - begin
            total += forward_flops(size, before, begin**2 + asked * begin + asked * (asked + 1) // 2, 0)
    return 3 * total


def _seed(name: str) -> int:
    return derive_seed("showo benchmark", name) % 2**63
