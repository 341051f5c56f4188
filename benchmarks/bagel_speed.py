"""BAGEL's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/bagel_speed.py text|images [--rounds 3] [--tokens 100] [--steps 12] [--size small]

The released way is in bagel_released.py: its inferencer and its scripts take one row at a time, with a cache that every
layer puts together anew, and one branch of guidance after another.
Both must first give the same ids, or pictures' tokens that are equal within 1e-3, at the size tiny; otherwise this ends
with 1. Pictures are drawn with the settings of the authors' GenEval script, and of their demo, which leaves a third
branch of guidance on that is the same as the first. Times are medians over rounds in which all variants take turns: CPU
seconds of one thread, for the same amount of work. Extra peak memory is that of one run in a forked process, above what
was held before it; speed and memory are relative to the released way.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from bagel_released import Context, answer, draw
from measured import extra_peak, medians
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hermes.harness.models.bagel.attending import Behind
from hermes.harness.models.bagel.config import Settings
from hermes.harness.models.bagel.drawing import Canvas, Contexts, Sampling, drawn
from hermes.harness.models.bagel.network import Bagel
from hermes.harness.models.bagel.pixels import places_of
from hermes.harness.models.bagel.rows import Marks, Row, packed
from hermes.harness.models.bagel.writing import remember, write
from hermes.harness.models.seeded import Draw

BATCH, PICTURES, PROMPT, SCALE = 8, 4, 40, 4.0
MARKS = Marks(0, 1, 2, 3)
NEVER = 10**9


@dataclass(frozen=True)
class Size:
    """A BAGEL that sees ``seen`` x ``seen`` patches and draws ``grid`` x ``grid`` tokens."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    words: int
    vit: int
    seen: int
    grid: int
    vit_heads: int = 4
    vit_layers: int = 5
    vit_inner: int | None = None


SIZES = {
    "tiny": Size(64, 2, 4, 2, 96, 200, 32, 3, 4),
    "small": Size(512, 8, 8, 2, 1376, 4000, 256, 8, 8),
    "wide": Size(1024, 8, 8, 2, 2752, 4000, 256, 8, 16),
    "7b-mot": Size(3584, 28, 28, 4, 18944, 152064, 1152, 36, 64, vit_heads=16, vit_layers=27, vit_inner=4304),
}


class Variant(NamedTuple):
    """``run`` does ``units`` of work."""

    name: str
    units: int
    run: Callable[[], Any]


class Case(NamedTuple):
    variants: list[Variant]
    difference: Callable[[], str]


def random_model(size: Size, device: str, dtype: torch.dtype) -> Bagel:
    """Random weights, always the same on one device, wide enough that what is written depends on what is asked."""
    llm = {
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
    }
    vit = {
        "hidden_size": size.vit,
        "intermediate_size": size.vit_inner or 4 * size.vit,
        "num_attention_heads": size.vit_heads,
        "num_hidden_layers": size.vit_layers,
        "patch_size": 14,
    }
    shapes = {
        "language_model.model.embed_tokens.weight": (size.words, size.width),
        "vit_pos_embed.pos_embed": (size.seen**2, size.width),
        "vit_model.vision_model.embeddings.position_embedding.weight": (size.seen**2, size.vit),
        "vae2llm.weight": (size.width, 64),
        "latent_pos_embed.pos_embed": (size.grid**2, size.width),
    }
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_default_dtype(dtype)
        network = Bagel(Settings(llm, vit), {name: torch.Size(shape) for name, shape in shapes.items()})
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.data.normal_(0.0, 1.2 / parameter.shape[1] ** 0.5)
        torch.set_default_dtype(torch.float32)
    return network.requires_grad_(False).eval()


def prompts(count: int, words: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, words, (PROMPT - 3 * (n % 5),), generator=generator).tolist() for n in range(count)]


def text_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Greedy answers of ``tokens`` ids, which nothing ends, each about its own picture."""
    network = random_model(size, chosen.device, chosen.type)
    asked = prompts(BATCH, size.words)
    places = places_of((size.seen, size.seen), size.seen).to(chosen.device)
    generator = torch.Generator().manual_seed(2)
    drawn = [torch.randn(size.seen**2, 3 * 14 * 14, generator=generator) for _ in asked]
    looks = [(one.to(chosen.device), places) for one in drawn]

    @torch.inference_mode()
    def released() -> list[list[int]]:
        return [
            answer(network, context(look, ids), MARKS.begin, chosen.tokens)
            for look, ids in zip(looks, asked, strict=True)
        ]

    def context(look: tuple[Tensor, Tensor], ids: list[int]) -> Context:
        made = Context(network).seen(network, (MARKS.picture, MARKS.picture_end), look)
        return made.text(network, [MARKS.begin, *ids, MARKS.end])

    @torch.inference_mode()
    def ours() -> list[list[int]]:
        rows = [Row(MARKS).seen((size.seen, size.seen)).text(ids) for ids in asked]
        cache = remember(network, rows, network.looked(looks), more=chosen.tokens)
        endless = [replace(row, marks=replace(MARKS, end=NEVER)) for row in rows]
        return write(network, endless, cache, [Draw(0)] * BATCH, [chosen.tokens] * BATCH, size.words)

    def difference() -> str:
        told, mine = released(), ours()
        return "" if told == mine else f"{sum(a != b for a, b in zip(told, mine, strict=True))} of {BATCH} answers"

    return Case(
        [
            Variant("released, one by one", BATCH, released),
            Variant(f"ours, {BATCH} together", BATCH, ours),
        ],
        difference,
    )


def images_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Pictures with guidance."""
    network = random_model(size, chosen.device, chosen.type)
    asked = prompts(PICTURES, size.words)
    grid = (size.grid, size.grid)
    places = places_of(grid, size.grid).to(chosen.device)
    noise = torch.randn(PICTURES, size.grid**2, 64, generator=torch.Generator().manual_seed(3)).to(chosen.device)
    script = Sampling(count=chosen.steps)
    demo = replace(script, interval=(0.4, 1.0), image_guidance=1.5)

    @torch.inference_mode()
    def released(sampling: Sampling) -> Tensor:
        marks = (MARKS.picture, MARKS.picture_end)
        found = []
        for ids, one in zip(asked, noise, strict=True):
            whole = [MARKS.begin, *ids, MARKS.end]
            contexts = [Context(network).text(network, whole), Context(network)]
            if sampling.image_guidance > 1:
                contexts.append(Context(network).text(network, whole))
            found.append(draw(network, contexts, marks, places, one, sampling, SCALE))
        return torch.cat(found)

    @torch.inference_mode()
    def ours(sampling: Sampling, together: int) -> Tensor:
        found = []
        for start in range(0, PICTURES, together):
            rows = [Row(MARKS).text(ids) for ids in asked[start : start + together]]
            cache = remember(network, rows)
            nothing = torch.zeros(len(rows), dtype=torch.long, device=chosen.device)
            behind = torch.tensor([row.place for row in rows], device=chosen.device)
            contexts = Contexts(Behind(cache, cache.lengths, behind), Behind(None, nothing, nothing))
            canvas = packed([Row(MARKS).noise(grid) for _ in rows], network.sides, masked=False)
            canvas = canvas.to(chosen.device)
            scales = torch.full((len(rows),), SCALE, device=chosen.device)
            given = noise[start : start + together].flatten(0, 1)
            found.append(drawn(network, Canvas(canvas, scales, sampling), contexts, given))
        return torch.cat(found)

    def difference() -> str:
        for sampling in (script, demo):
            told = released(sampling)
            for together in (1, PICTURES):
                if (most := float((told - ours(sampling, together)).abs().max())) > 1e-3:
                    return f"pictures' tokens differ by {most:.1e}"
        return ""

    runs: list[tuple[str, Callable[[], Any]]] = []
    for name, sampling in (("GenEval script", script), ("demo", demo)):
        runs.append((f"released, {name}", lambda sampling=sampling: released(sampling)))
        runs.append((f"ours, {PICTURES} together, {name}", lambda sampling=sampling: ours(sampling, PICTURES)))
    return Case([Variant(name, PICTURES, run) for name, run in runs], difference)


CASES = {"text": text_case, "images": images_case}


def table(chosen: argparse.Namespace, case: Case, times: dict[str, float], peaks: dict[str, float]) -> Table:
    title = f"BAGEL {chosen.task}, {chosen.size}, one thread"
    made = Table("variant", "seconds", "speed", "extra peak MiB", "memory", title=title)
    peer = case.variants[0]
    for variant in case.variants:
        if variant.name.startswith("released"):
            peer = variant
        took, peak = times[variant.name], peaks[variant.name]
        speed = times[peer.name] / peer.units / (took / variant.units)
        made.add_row(
            variant.name, f"{took:.3f}", f"{speed:.2f}x", f"{peak:.0f}", f"{peak / max(peaks[peer.name], 1e-9):.2f}x"
        )
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=CASES)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=100, help="new tokens; 100 as for POPE")
    arguments.add_argument("--steps", type=int, default=12, help="times of a flow")
    arguments.add_argument("--size", choices=SIZES, default="small")
    chosen = arguments.parse_args()
    chosen.device, chosen.type, chosen.threads = "cpu", torch.float32, 1
    torch.set_num_threads(1)
    build = CASES[chosen.task]
    if odd := build(SIZES["tiny"], chosen).difference():
        sys.exit(f"bagel_speed: the released way and ours are not the same: {odd}")
    case = build(SIZES[chosen.size], chosen)
    peaks = {variant.name: forked_peak(variant.run) for variant in case.variants}
    times = medians({variant.name: variant.run for variant in case.variants}, chosen)
    Console(width=max(100, Console().width)).print(table(chosen, case, times, peaks))


def forked_peak(run: Callable[[], Any]) -> float:
    """`extra_peak` in a copy of this process, which has one thread."""
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, str(extra_peak(run, "cpu")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return float(os.read(read, 99))


if __name__ == "__main__":
    main()
