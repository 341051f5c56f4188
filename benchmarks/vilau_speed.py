"""VILA-U's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/vilau_speed.py text|images [--rounds 3] [--tokens 64] [--size small] [--threads 1]
    python benchmarks/vilau_speed.py text|images --size 7b --device cuda --dtype bfloat16

The released way is in vilau_released.py; "no cache" is the same without what its language model keeps. In float32 on a
CPU both must first give the same tokens or, with the likeliest codes, the same picture; otherwise this ends with 1.
Times are medians over rounds in which all variants take turns: CPU seconds with one thread, else seconds, for the same
amount of work. Extra peak memory is that of one run in a fresh process, above what was held before it. Speed and memory
are relative to the released way at batch 1, and of a batch of pictures to the released batch.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from measured import extra_peak, extra_peak_apart, medians
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from vilau_released import draw_released, write_released

from hermes.harness.models.seeded import Draw
from hermes.harness.models.vilau.answering import write
from hermes.harness.models.vilau.depth import DepthTransformer
from hermes.harness.models.vilau.drawing import draw_codes
from hermes.harness.models.vilau.network import Network, Projector
from hermes.harness.models.vilau.prompting import IMAGE
from hermes.harness.models.vilau.sampling import Uniforms
from hermes.harness.models.vilau.sizes import Sizes
from hermes.harness.models.vilau.tower import Tower

BATCH, GUIDANCE, PROMPT = 8, 3.0, 70


@dataclass(frozen=True)
class Size:
    """A VILA-U: ``depth`` codes at each of ``grid`` x ``grid`` positions."""

    width: int
    layers: int
    heads: int
    inner: int
    words: int
    codes: int
    grid: int
    depth: int
    drawn_width: int
    drawn_heads: int
    drawn_layers: int = 6
    features: int = 64


SIZES = {
    "tiny": Size(64, 2, 4, 128, 200, 64, 3, 4, 48, 4, 2),
    "small": Size(512, 8, 8, 1376, 4000, 2048, 8, 4, 512, 8),
    "7b": Size(4096, 32, 32, 11008, 32004, 16384, 16, 4, 2560, 40, features=1024),
}


class Variant(NamedTuple):
    """``run`` does ``units`` of work; ``peer`` names the variant to compare with."""

    name: str
    peer: str
    units: int
    run: Callable[[], Any]


def random_model(size: Size, device: str, dtype: torch.dtype) -> Network:
    """Random weights, always the same, wide enough that what is written depends on what is asked."""
    siglip = {"hidden_size": size.features, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    decoder = {"ch": 32, "ch_mult": [1], "num_res_blocks": 1, "attn_resolutions": [], "resolution": 8, "z_channels": 8}
    grid = (size.grid, size.grid)
    pixels = {"image_size": 8 * size.grid, "patch_size": 8}
    sizes = Sizes(
        8 * size.grid, size.grid, grid, size.depth, True, size.drawn_heads, siglip | pixels, decoder, None, ""
    )
    config = LlamaConfig(
        vocab_size=size.words,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.inner,
        rope_scaling={"type": "linear", "factor": 2.0},
    )
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_default_dtype(dtype)
        model = Network(
            LlamaForCausalLM(config),
            Projector(size.features, size.width),
            DepthTransformer(
                size.depth, size.codes, size.drawn_width, size.drawn_heads, size.drawn_layers, 4 * size.drawn_width,
                size.features, size.width,
            ),
            Tower(sizes, size.codes, size.features),
        )  # fmt: skip
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.data.normal_(0.0, 1.2 / parameter[0].numel() ** 0.5)
        torch.set_default_dtype(torch.float32)
    model.llm.generation_config = GenerationConfig(pad_token_id=0)  # no end token: every answer has all its tokens
    return model.requires_grad_(False).eval()


def ids(count: int, length: int, words: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = [length - 3 * (row % 5) for row in range(count)]
    return [torch.randint(3, words, (one,), generator=generator).tolist() for one in lengths]


def text_case(size: Size, chosen: argparse.Namespace) -> tuple[list[Variant], Callable[[], str]]:
    """Greedy answers of ``tokens`` ids, each about its own picture."""
    model = random_model(size, chosen.device, chosen.type)
    places = size.grid**2
    prompts = [[*row[:50], *[IMAGE] * places, *row[50:]] for row in ids(BATCH, PROMPT, size.words, 1)]
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(BATCH, places, size.features, generator=generator).to(chosen.device, chosen.type)

    def released(row: int, cached: bool = True) -> list[int]:
        return write_released(model, prompts[row], features[row], chosen.tokens, cached)

    def ours(rows: int) -> list[list[int]]:
        draws, lengths = [Draw(0)] * rows, [chosen.tokens] * rows
        return write(model, 0, prompts[:rows], list(features[:rows]), draws, lengths)

    def difference() -> str:
        wanted = {row: released(row) for row in (0, BATCH - 1)}
        same = released(0, False) == wanted[0] == ours(1)[0]
        batch = ours(BATCH)
        return "" if same and all(batch[row] == tokens for row, tokens in wanted.items()) else "the tokens differ"

    first, count = "released", chosen.tokens
    return [
        Variant(first, first, count, lambda: released(0)),
        Variant("released, no cache", first, count, lambda: released(0, False)),
        Variant("ours, batch 1", first, count, lambda: ours(1)),
        Variant(f"ours, batch {BATCH}", first, BATCH * count, lambda: ours(BATCH)),
    ], difference


def image_case(size: Size, chosen: argparse.Namespace) -> tuple[list[Variant], Callable[[], str]]:
    """Codes of pictures with guidance."""
    model = random_model(size, chosen.device, chosen.type)
    prompts, empty = ids(BATCH, PROMPT, size.words, 3), ids(1, PROMPT - 20, size.words, 4)[0]
    draws = [Draw(row, 1.0, 900, GUIDANCE, 0.96) for row in range(BATCH)]

    def released(rows: int, cached: bool = True, greedy: bool = False) -> Tensor:
        return draw_released(model, prompts[:rows], empty, GUIDANCE, 0, cached, greedy)

    def ours(rows: int) -> Tensor:
        choose = Uniforms(range(rows), size.grid**2, size.depth, model.device)
        return draw_codes(model, prompts[:rows], empty, draws[:rows], choose)

    def difference() -> str:
        likeliest = draw_codes(model, prompts, empty, draws, lambda likely, *_: likely.argmax(-1))
        return "" if torch.equal(likeliest, released(BATCH, greedy=True)) else "the codes differ"

    one, many = "released, batch 1", f"released, batch {BATCH}"
    return [
        Variant(one, one, 1, lambda: released(1)),
        Variant("released, batch 1, no cache", one, 1, lambda: released(1, cached=False)),
        Variant("ours, batch 1", one, 1, lambda: ours(1)),
        Variant(many, many, BATCH, lambda: released(BATCH)),
        Variant(f"ours, batch {BATCH}", many, BATCH, lambda: ours(BATCH)),
    ], difference


CASES = {"text": text_case, "images": image_case}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=CASES)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=64, help="new tokens of an answer")
    arguments.add_argument("--size", choices=SIZES, default="small")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument("--only", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    chosen.type = getattr(torch, chosen.dtype)
    torch.set_num_threads(chosen.threads)
    build = CASES[chosen.task]
    if chosen.only:
        for size in ("tiny", chosen.size):  # what libraries load once is nobody's
            run = next(variant.run for variant in build(SIZES[size], chosen)[0] if variant.name == chosen.only)
            peak = extra_peak(run, chosen.device)
        print(peak)
        return
    variants, difference = build(SIZES[chosen.size], chosen)
    if chosen.device == "cpu" and chosen.dtype == "float32" and (found := difference()):
        sys.exit(f"vilau_speed: the released way and ours are not the same: {found}")
    for variant in variants if chosen.device != "cpu" else ():
        variant.run()
    taken = medians({one.name: one.run for one in variants}, chosen)
    times = {one.name: taken[one.name] / one.units for one in variants}
    peaks = {one.name: extra_peak_apart(one.name) for one in variants}
    unit = "token" if chosen.task == "text" else "picture"
    what = f"VILA-U {chosen.task}, {chosen.size}, {chosen.dtype}, {chosen.device}, {chosen.threads} threads"
    table = Table("variant", f"s a {unit}", "speed", "extra peak MiB", "memory", title=what)
    for one in variants:
        speed = times[one.peer] / times[one.name]
        memory = f"{peaks[one.name] / peaks[one.peer]:.2f}x" if peaks[one.peer] else "-"
        table.add_row(one.name, f"{times[one.name]:.4f}", f"{speed:.2f}x", f"{peaks[one.name]:.0f}", memory)
    Console(width=max(100, Console().width)).print(table)


if __name__ == "__main__":
    main()
