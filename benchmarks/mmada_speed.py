"""MMaDA's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/mmada_speed.py text|images [--rounds 3] [--tokens 64] [--block 16] [--steps 15] [--threads 1]
    python benchmarks/mmada_speed.py text|images --size 8b --device cuda --dtype bfloat16

The released way is in mmada_released.py. In float32 on a CPU both must first give the same tokens; otherwise this ends
with 1. Times are medians over rounds in which all variants take turns: CPU seconds with one thread, else seconds. Extra
peak memory is that of one run in a fresh process, above what was held before it. Speed is for the same amount of work,
relative to the released way one row at a time; memory is relative to the released way with as many rows.

A text has as many steps as half its tokens, as in the authors' script. "Texts end" are the same prompts where texts end
within their first block: the released way writes all blocks whatever stands in them.
"""

import argparse
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from measured import checked_medians, extra_peak, extra_peak_apart
from mmada_released import draw_released, write_released
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hermes.harness.models.maskgit import Drawing, empty_image
from hermes.harness.models.mmada.config import MmadaConfig, Vocabulary
from hermes.harness.models.mmada.images import draw_steps
from hermes.harness.models.mmada.load import llama_config
from hermes.harness.models.mmada.prompting import Layout
from hermes.harness.models.mmada.text import Writing, write
from hermes.harness.models.seeded import Draw

BATCH = 8
GUIDANCE = 3.5
DEVIATION = 0.04
SPECIAL = 9


@dataclass(frozen=True)
class Size:
    """An MMaDA: ``words`` text tokens, ``image`` tokens of a picture, ``prompt`` ids of a question behind it."""

    width: int
    layers: int
    heads: int
    inner: int
    words: int
    codes: int
    image: int
    max_text: int
    prompt: int = 24

    @property
    def layout(self) -> Layout:
        return Layout(Vocabulary(*range(SPECIAL), first_code=self.words, codes=self.codes), self.max_text)


SIZES = {
    "tiny": Size(64, 2, 4, 128, 200, 64, 16, 16, 8),
    "small": Size(256, 6, 4, 704, 1000, 512, 256, 128),  # its head has 8 % of the work, as that of 8b
    "8b": Size(4096, 32, 32, 12288, 126349, 8192, 1024, 512),
}


@dataclass(frozen=True)
class Variant:
    """``run`` does ``units`` of work; ``peer`` has as many rows, the released way."""

    name: str
    units: int
    peer: str
    run: Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """Variants, the first of which is the released way one row at a time, and a check of what differs, if anything."""

    variants: list[Variant]
    difference: Callable[[], str]


def random_network(size: Size, device: str, dtype: torch.dtype) -> Any:
    """Random weights, always the same on one device."""
    shape = (size.width, size.layers, size.heads, size.heads, size.inner, size.codes)
    config = MmadaConfig(*shape, 0, 1e-5, 500000.0, False, 4096, 512, size.max_text, {})
    generator = torch.Generator(device).manual_seed(5)
    with torch.device(device):
        network = transformers.LlamaForCausalLM(llama_config(config, size.words + size.codes)).to(dtype)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" not in name:
                weight.normal_(0, DEVIATION, generator=generator)
    return network.requires_grad_(False).eval()


def texts(size: Size, length: int, name: str) -> list[list[int]]:
    rng = random.Random(name)
    return [[rng.randrange(SPECIAL, size.words) for _ in range(length)] for _ in range(BATCH)]


def text_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Greedy answers of ``tokens`` ids, each about its own image; tokens are counted as they are written to the end."""
    network, layout = random_network(size, chosen.device, chosen.type), size.layout
    rng = random.Random("pictures")
    images = [[size.words + rng.randrange(size.codes) for _ in range(size.image)] for _ in range(BATCH)]
    asked = texts(size, size.prompt, "questions")
    prompts = [[*layout.seen_image(image), *text] for image, text in zip(images, asked, strict=True)]
    mask, block = layout.vocabulary.mask, chosen.block
    writing = Writing(chosen.tokens, chosen.tokens // 2, block)

    def released(rows: int, first: int = 0) -> list[list[int]]:
        part = prompts[first : first + rows]
        return write_released(network, mask, part, chosen.tokens, chosen.tokens // 2, block).tolist()

    def ours(rows: int, ends: list[int]) -> list[list[int]]:
        return write(network, mask, prompts[:rows], [Draw(0)] * rows, writing, ends)

    stops: list[int] = []

    def ended() -> list[list[int]]:
        if not stops:  # of each row's first block the token that comes first as late as can be
            rows = [row[:block] for row in ours(BATCH, [])]
            stops.extend({max(row, key=row.index) for row in rows})
        return ours(BATCH, stops)

    def difference() -> str:
        wanted, single, batch = {row: released(1, row)[0] for row in (0, BATCH - 1)}, ours(1, []), ours(BATCH, [])
        cut = [row[: next(at for at, token in enumerate(row) if token in stops)] for row in batch if ended()]
        same = single[0] == wanted[0] and all(batch[row] == tokens for row, tokens in wanted.items())
        print(f"texts that end have {statistics.mean(map(len, cut)):.1f} tokens on average")
        return "" if same and cut == ended() else "the tokens differ"

    one, all_rows = "released, one row", f"released, batch {BATCH}"
    return Case(
        [
            Variant(one, 1, one, lambda: released(1)),
            Variant(all_rows, BATCH, all_rows, lambda: released(BATCH)),
            Variant("ours, one row", 1, one, lambda: ours(1, [])),
            Variant(f"ours, batch {BATCH}", BATCH, all_rows, lambda: ours(BATCH, [])),
            Variant(f"ours, batch {BATCH}, texts end", BATCH, all_rows, ended),
        ],
        difference,
    )


def image_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Images with guidance at temperature 1, each with its own generator."""
    network, layout = random_network(size, chosen.device, chosen.type), size.layout
    prompts = texts(size, size.prompt // 2, "prompts")
    drawing = Drawing(chosen.steps, GUIDANCE)

    def released(rows: int, first: int = 0) -> Tensor:
        generator = torch.Generator(chosen.device).manual_seed(first)
        part = prompts[first : first + rows]
        return draw_released(network, layout, part, size.image, chosen.steps, GUIDANCE, generator)

    def ours(rows: int) -> Tensor:
        generators = [torch.Generator().manual_seed(row) for row in range(rows)]
        blank = empty_image(rows, size.image, layout.vocabulary.mask, torch.device(chosen.device))
        *_, last = draw_steps(network, layout, prompts[:rows], blank, generators, drawing)
        return last.chosen

    def difference() -> str:
        wanted, single, batch = {row: released(1, row)[0] for row in (0, BATCH - 1)}, ours(1), ours(BATCH)
        same = torch.equal(single[0], wanted[0]) and all(torch.equal(batch[row], ids) for row, ids in wanted.items())
        return "" if same else "the tokens differ"

    one, all_rows = "released, one row", f"released, batch {BATCH}"
    return Case(
        [
            Variant(one, 1, one, lambda: released(1)),
            Variant(all_rows, BATCH, all_rows, lambda: released(BATCH)),
            Variant("ours, one row", 1, one, lambda: ours(1)),
            Variant(f"ours, batch {BATCH}", BATCH, all_rows, lambda: ours(BATCH)),
        ],
        difference,
    )


CASES = {"text": text_case, "images": image_case}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=CASES)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=64, help="new tokens of a text")
    arguments.add_argument("--block", type=int, default=16, help="tokens of a block of a text")
    arguments.add_argument("--steps", type=int, default=15, help="steps of an image")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--size", choices=SIZES, default="small")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument("--only", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    chosen.type = getattr(torch, chosen.dtype)
    torch.set_num_threads(chosen.threads)
    build, size = CASES[chosen.task], SIZES[chosen.size]
    tiny = build(SIZES["tiny"], chosen)
    if chosen.only:
        case = build(size, chosen)
        first, run = (next(one.run for one in made.variants if one.name == chosen.only) for made in (tiny, case))
        first()  # what libraries load once is nobody's
        print(extra_peak(run, chosen.device))
        return
    peaks = {variant.name: extra_peak_apart(variant.name) for variant in tiny.variants}
    case = build(size, chosen)
    times = checked_medians(case, chosen)
    made = Table(
        *("variant", "seconds", "speed", "extra peak MiB", "memory"),
        title=f"MMaDA {chosen.task}, {chosen.size}, {chosen.dtype}, {chosen.device}, {chosen.threads} threads",
    )
    alone = times[case.variants[0].name]
    for one in case.variants:
        speed, peak, peer = alone / (times[one.name] / one.units), peaks[one.name], peaks[one.peer]
        memory = f"{peak / peer:.2f}x" if peer else "-"
        made.add_row(one.name, f"{times[one.name]:.3f}", f"{speed:.2f}x", f"{peak:.0f}", memory)
    Console(width=max(100, Console().width)).print(made)


if __name__ == "__main__":
    main()
