"""Pictures of requests: what each stands behind, its noise, and what the flow makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from hermes.harness.models.bagel.attending import Behind
from hermes.harness.models.bagel.drawing import Canvas, Contexts, Sampling, drawn
from hermes.harness.models.bagel.load import Loaded
from hermes.harness.models.bagel.looking import Clean, Eyes, Seen
from hermes.harness.models.bagel.pixels import latents_of, picture_of
from hermes.harness.models.bagel.rows import Row, packed
from hermes.harness.models.bagel.writing import remember


@dataclass(frozen=True)
class Wish:
    """What is drawn: a prompt's ids, the pictures that are changed, each as both encoders see it, and the noise.

    ``noise`` (m, channels) of a picture of ``grid`` rows and columns of tokens.
    """

    prompt: tuple[int, ...]
    sources: tuple[tuple[Clean, Seen], ...]
    grid: tuple[int, int]
    noise: Tensor
    scale: float


def wish(eyes: Eyes, prompt: Sequence[int], sources: Sequence[Image.Image], side: int, seed: int, scale: float) -> Wish:
    """A drawing is a square of ``side`` pixels, a change as large as its last source is made.

    All noise is drawn from the seed on the CPU. As released, sources are drawn from what the autoencoder gives.
    """
    generator = torch.Generator().manual_seed(seed)
    sized = [eyes.drawn(source) for source in sources]
    shown = tuple(
        (eyes.read(one, generator if eyes.as_released else None), eyes.see(eyes.changed(one))) for one in sized
    )
    grid = shown[-1][0].grid if shown else (side // eyes.stride, side // eyes.stride)
    noise = torch.randn(grid[0] * grid[1], eyes.network.channels, generator=generator)
    return Wish(tuple(prompt), shown, grid, noise, scale)


@torch.inference_mode()
def paint(loaded: Loaded, wishes: Sequence[Wish], sampling: Sampling) -> list[Image.Image]:
    """The pictures. Wishes are all with guidance or all without, and all of changes or all of drawings."""
    network, marks = loaded.network, loaded.marks
    canvas = Canvas(
        packed([Row(marks).noise(one.grid) for one in wishes], network.sides, masked=False).to(network.device),
        torch.tensor([one.scale for one in wishes], device=network.device),
        sampling,
    )
    last = drawn(network, canvas, _contexts(loaded, wishes), torch.cat([one.noise for one in wishes]))
    pictures, begin = [], 0
    for one in wishes:
        tokens = last[begin : begin + len(one.noise)]
        begin += len(tokens)
        latents = latents_of(tokens, loaded.settings.latent_patch, one.grid)
        pictures.append(picture_of(loaded.autoencoder.decode(latents)))
    return pictures


def _contexts(loaded: Loaded, wishes: Sequence[Wish]) -> Contexts:
    """What the pictures stand behind, read once. Without its text a row is the beginning of itself, so it is not read
    again; without sources nothing is left of it.
    """
    network, empty = loaded.network, Row(loaded.marks)
    sourced = []
    for one in wishes:
        row = empty
        for clean, seen in one.sources:
            row = row.latent(clean.grid).seen(seen.grid)
        sourced.append(row)
    rows = [row.text(one.prompt) for row, one in zip(sourced, wishes, strict=True)]
    pairs = [pair for one in wishes for pair in one.sources]
    features = torch.cat([seen.features for _, seen in pairs]) if pairs else None
    latents = torch.cat([clean.tokens for clean, _ in pairs]) if pairs else None
    cache = remember(network, rows, features, latents)
    whole = Behind(cache, cache.lengths, _places(rows, network.device))
    if all(one.scale <= 1 for one in wishes):
        return Contexts(whole)
    lengths = torch.tensor([row.length for row in sourced], device=network.device)
    wordless = Behind(cache if pairs else None, lengths, _places(sourced, network.device))
    if not pairs:
        return Contexts(whole, wordless)
    texts = [empty.text(one.prompt) for one in wishes]
    alone = remember(network, texts)
    return Contexts(whole, wordless, Behind(alone, alone.lengths, _places(texts, network.device)))


def _places(rows: Sequence[Row], device: torch.device) -> Tensor:
    return torch.tensor([row.place for row in rows], device=device)
