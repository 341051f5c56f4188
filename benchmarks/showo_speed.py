"""Show-o's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/showo_speed.py text|images|train [--rounds 5] [--tokens 100] [--steps 12] [--threads 1]
    python benchmarks/showo_speed.py text|images --size 1.3b --device cuda --dtype bfloat16
    python benchmarks/showo_speed.py train --size 1.3b --image-tokens 256 --device cuda --dtype bfloat16

The released way is in showo_released.py. In float32 on a CPU both must first give the same tokens, or the same loss and
gradients; otherwise this ends with 1. Times are medians over rounds in which all variants take turns: CPU seconds with
one thread, else seconds. Extra peak memory is that of one run in a fresh process, above what was held before it; speed
(for the same amount of work) and memory are relative to the released way. On a GPU there are also the rate and MFU, the
share of --peak-tflops that goes into what the task needs, which showo_sizes.py counts, the same for both ways.

In training, ours has the reference's log-probabilities before the step. The pass that computes them, once for each
text and once for each image and mask, has a line of its own.
"""

import argparse
from dataclasses import replace

import torch
from measured import checked_medians, extra_peak, extra_peak_apart
from rich.console import Console
from rich.table import Table
from showo_cases import CASES, Case
from showo_sizes import SIZES

UNIT = {"text": "tokens/s", "images": "images/s", "train": "pairs/s"}


def table(chosen: argparse.Namespace, case: Case, times: dict[str, float], peaks: dict[str, float]) -> Table:
    gpu = [UNIT[chosen.task], "MFU"] if chosen.device != "cpu" else []
    made = Table(
        "variant", "seconds", "speed", "extra peak MiB", "memory", *gpu,
        title=f"Show-o {chosen.task}, {chosen.size}, {chosen.dtype}, {chosen.device}, {chosen.threads} threads",
    )  # fmt: skip
    units = {variant.name: variant.units for variant in case.variants}
    for variant in case.variants:
        took, peak, peer = times[variant.name], peaks[variant.name], variant.peer
        speed = times[peer] / units[peer] / (took / variant.units)
        memory = f"{peak / peaks[peer]:.2f}x" if peaks[peer] else "-"
        row = [variant.name, f"{took:.3f}", f"{speed:.2f}x", f"{peak:.0f}", memory]
        if gpu:
            share = variant.flops / took / (chosen.peak_tflops * 1e12)
            row += [f"{variant.units / took:.1f}", f"{share:.1%}"]
        made.add_row(*row)
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=CASES)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--tokens", type=int, default=100, help="new tokens; 100 as in the released script")
    arguments.add_argument("--steps", type=int, default=12, help="steps of an image")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--size", choices=SIZES, default="small")
    arguments.add_argument("--image-tokens", type=int, help="tokens of an image, where not the size's own")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument(
        "--peak-tflops", type=float, default=989.0, help="of the GPU, for MFU; an H100's in bfloat16"
    )
    arguments.add_argument("--only", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    chosen.type = getattr(torch, chosen.dtype)
    torch.set_num_threads(chosen.threads)
    size = SIZES[chosen.size]
    size = replace(size, image=chosen.image_tokens or size.image)
    build = CASES[chosen.task]
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
    Console(width=max(100, Console().width)).print(table(chosen, case, times, peaks))


if __name__ == "__main__":
    main()
