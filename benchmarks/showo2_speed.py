"""Show-o2's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/showo2_speed.py text|images [--rounds 3] [--tokens 32] [--steps 5] [--size small] [--threads 1]
    python benchmarks/showo2_speed.py text|images --size 1.5b --device cuda --dtype bfloat16

The released way is in showo2_released.py. In float32 on a CPU both must first give the same tokens or pictures within a
thousandth; otherwise this ends with 1. Times are medians over rounds in which all variants take turns: CPU seconds with
one thread, else seconds, for the same amount of work. Extra peak memory is that of one run in a fresh process, above
what was held before it. Rows, prompts and padding have about the shares of 432 px, pictures are decoded.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKLWan
from measured import checked_medians, extra_peak, extra_peak_apart
from rich.console import Console
from rich.table import Table
from showo2_released import draw_released, write_released
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig

from hermes.harness.models.seeded import Draw
from hermes.harness.models.showo2.answering import see, write
from hermes.harness.models.showo2.drawing import draw_latents
from hermes.harness.models.showo2.flow import HeadSizes
from hermes.harness.models.showo2.network import Network
from hermes.harness.models.showo2.wan import Wan, flattened

BATCH, GUIDANCE, CHANNELS, PATCH, END, PICTURES = 8, 7.5, 16, 2, 1, 2


@dataclass(frozen=True)
class Size:
    """A Show-o2: ``grid`` x ``grid`` image tokens behind prompts of ``prompt`` ids, of which ``most`` would fit."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    words: int
    seen: int
    seen_layers: int
    head: HeadSizes
    grid: int
    prompt: int
    most: int
    wan: int


SIZES = {
    "tiny": Size(64, 2, 4, 2, 128, 200, 48, 2, HeadSizes(48, 12, 4, 2, 96, 2, 64), 3, 4, 6, 4),
    "small": Size(256, 6, 4, 2, 1024, 6000, 192, 6, HeadSizes(384, 64, 6, 2, 1024, 3, 64), 12, 24, 55, 8),
    "1.5b": Size(1536, 28, 12, 2, 8960, 151669, 1152, 26, HeadSizes(2048, 64, 32, 8, 8192, 10, 64), 27, 120, 290, 96),
}


class Variant(NamedTuple):
    """``run`` does ``units`` of work."""

    name: str
    units: int
    run: Callable[[], Any]


class Case(NamedTuple):
    """``difference`` is "" where the variants give the same."""

    variants: list[Variant]
    difference: Callable[[], str]


def random_model(size: Size, device: str, dtype: torch.dtype) -> Network:
    """Random weights, always the same, wide enough that what is written depends on what is asked."""
    llm = Qwen2Config(
        vocab_size=size.words,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        intermediate_size=size.inner,
    )
    siglip = SiglipVisionConfig(
        hidden_size=size.seen, num_hidden_layers=size.seen_layers, num_attention_heads=size.seen // 24,
        intermediate_size=4 * size.seen,
    )  # fmt: skip
    siglip._attn_implementation = "sdpa"
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_default_dtype(dtype)
        model = Network(Qwen2ForCausalLM(llm), siglip, size.head, (size.grid, size.grid), CHANNELS, PATCH, 256)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.data.normal_(0.0, 1.2 / parameter[0].numel() ** 0.5)
        torch.set_default_dtype(torch.float32)
        model.showo.lm_head.weight.data[END] = 0.0  # no answer ends before it has all its tokens
    return model.requires_grad_(False).eval()


def ids(count: int, length: int, words: int, seed: int) -> list[list[int]]:
    """Rows of several lengths up to ``length``."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(9, words, (max(1, length - row % 5),), generator=generator).tolist() for row in range(count)]


def latents(count: int, size: Size, chosen: argparse.Namespace) -> Tensor:
    shape = (count, CHANNELS, PATCH * size.grid, PATCH * size.grid)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(chosen.device)


def text_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Greedy answers of ``tokens`` ids, each about its own picture."""
    model = random_model(size, chosen.device, chosen.type)
    before, asked = ids(1, size.prompt, size.words, 1)[0], ids(BATCH, size.prompt, size.words, 3)
    pictures = latents(BATCH, size, chosen)

    def released(row: int) -> list[int]:
        return write_released(model, before, pictures[row], [END, *asked[row]], chosen.tokens)

    def ours(rows: int) -> list[list[int]]:
        cache = see(model, before, pictures[:rows], END)
        draws, lengths = [Draw(0)] * rows, [chosen.tokens] * rows
        return write(model, cache, range(rows), asked[:rows], draws, lengths, END)

    def difference() -> str:
        batch = ours(BATCH)
        same = all(batch[row] == released(row) for row in (0, BATCH - 1)) and ours(1)[0] == batch[0]
        return "" if same else "the tokens differ"

    count = chosen.tokens
    return Case(
        [
            Variant("released, one at a time", count, lambda: released(0)),
            Variant("ours, batch 1", count, lambda: ours(1)),
            Variant(f"ours, batch {BATCH}", BATCH * count, lambda: ours(BATCH)),
        ],
        difference,
    )


def image_case(size: Size, chosen: argparse.Namespace) -> Case:
    """Pictures with guidance, two in a batch."""
    model, count = random_model(size, chosen.device, chosen.type), PICTURES
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = AutoencoderKLWan(base_dim=size.wan).eval().requires_grad_(False).to(chosen.device)
        flat = AutoencoderKLWan(base_dim=size.wan).eval().requires_grad_(False).to(chosen.device)
        flat.load_state_dict(whole.state_dict())
    wan = Wan(flattened(flat), Path())
    prompts = [[2, *row, 3] for row in ids(count, size.prompt, size.words, 3)]
    noise, tokens = latents(count, size, chosen), size.grid**2 + 1
    length = size.most + tokens + 4

    def rows_of(prompts: list[list[int]]) -> Tensor:
        rows = [[*prompt, *[4] * tokens, 5, END] for prompt in [*prompts, *[[2, 3]] * len(prompts)]]
        return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=chosen.device)

    def released(rows: int) -> Tensor:
        begin = torch.tensor([*map(len, prompts[:rows]), *[2] * rows], device=chosen.device)
        return draw_released(model, whole, rows_of(prompts[:rows]), begin, noise[:rows], GUIDANCE, chosen.steps)

    def ours(rows: int) -> Tensor:
        drawn = draw_latents(model, prompts[:rows], [2, 3], noise[:rows], [GUIDANCE] * rows, chosen.steps)
        return torch.stack([wan.decode(row) for row in drawn])

    def difference() -> str:
        off = (ours(2) - released(2)).abs().max()
        return "" if off < 1e-3 else f"the pictures are {off} apart"

    return Case(
        [
            Variant("released, batch 1", 1, lambda: released(1)),
            Variant("ours, batch 1", 1, lambda: ours(1)),
            Variant(f"released, batch {count}", count, lambda: released(count)),
            Variant(f"ours, batch {count}", count, lambda: ours(count)),
        ],
        difference,
    )


CASES = {"text": text_case, "images": image_case}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=CASES)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=32, help="new tokens of an answer")
    arguments.add_argument("--steps", type=int, default=5, help="points of the time grid")
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
            run = next(variant.run for variant in build(SIZES[size], chosen).variants if variant.name == chosen.only)
            peak = extra_peak(run, chosen.device)
        print(peak)
        return
    case = build(SIZES[chosen.size], chosen)
    taken = checked_medians(case, chosen)
    times = {one.name: taken[one.name] / one.units for one in case.variants}
    peaks = {one.name: extra_peak_apart(one.name) for one in case.variants}
    unit = "token" if chosen.task == "text" else "picture"
    what = f"Show-o2 {chosen.task}, {chosen.size}, {chosen.dtype}, {chosen.device}, {chosen.threads} threads"
    table = Table("variant", f"s a {unit}", "speed", "extra peak MiB", "memory", title=what)
    for number, one in enumerate(case.variants):
        # Against the released way of the same batch, or where it has none against its one row.
        peer = next(each.name for each in reversed(case.variants[: number + 1]) if each.name.startswith("released"))
        speed, memory = times[peer] / times[one.name], peaks[one.name] / peaks[peer]
        table.add_row(one.name, f"{times[one.name]:.4f}", f"{speed:.2f}x", f"{peaks[one.name]:.0f}", f"{memory:.2f}x")
    Console(width=max(100, Console().width)).print(table)


if __name__ == "__main__":
    main()
