"""Speed and memory of Liquid and Anole against a plain re-implementation of the released way, on the same weights.

    python benchmarks/stream_speed.py liquid|anole text|images [--rounds 3] [--tokens 32] [--threads 1]
    python benchmarks/stream_speed.py liquid text --device cuda --dtype bfloat16

The plain way has no cache and takes one request at a time; it computes the whole vocabulary's logits of every position,
and of Anole's pictures three rows, as released. "One by one" is ours with a batch of one, which is close to what the
authors run, since their code has a cache. In float32 on a CPU all must first give the same answers and pictures.
Times are medians over rounds in which all take turns: CPU seconds with one thread, else seconds. Extra peak memory is
that of one run in a fresh process, above what was held before it.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measured import extra_peak, extra_peak_apart, medians
from PIL import Image
from rich.console import Console
from rich.table import Table
from stream_models import built
from torch import Tensor

from hermes.harness.models.anole.prompting import IMAGE_GUIDANCE
from hermes.harness.models.seeded import Draw, draw_of
from hermes.harness.models.stream.adapter import StreamModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request

WORDS, COUNT = 8192, {"text": 8, "images": 4}
QUESTIONS = ("What is in this picture?", "Is there a dog?", "How many red circles are left of the blue square?", "Why?")
PROMPTS = ("a red cat on a mat", "a green bench and a bowl", "two dogs", "a small house at night")
Work = Callable[[], list[Any]]


def requests(task: str, tokens: int) -> list[Request]:
    """Those of the task, each with its own picture or prompt."""
    random, made = np.random.default_rng(0), []
    for number in range(COUNT[task]):
        picture = ImageHandle(Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)))
        seen, texts = ((picture,), QUESTIONS) if task == "text" else ((), PROMPTS)
        config = GenerationConfig(max_new_tokens=tokens if task == "text" else None)
        prompt = f"{texts[number % len(texts)]} {number}"
        made.append(Request(sample_id=str(number), index=0, prompt=prompt, images=seen, config=config, seed=number))
    return made


@torch.inference_mode()
def plain_text(model: StreamModel, request: Request) -> str:
    """A greedy answer; all positions of the whole row are read again for each token."""
    prompting, network = model.prompting, model.network
    seen = [model.codec.encode(prompting.framed(handle.open(), model.side)) for handle in request.images]
    row, limit = prompting.question(request.prompt, seen), request.config.max_new_tokens or 0
    written: list[int] = []
    while len(written) < limit and not (written and written[-1] in prompting.ends):
        logits = network(torch.tensor([[*row, *written]], device=network.device), use_cache=False).logits
        written.append(int(logits[0, -1].argmax()))
    return prompting.text(written).strip()


@torch.inference_mode()
def plain_picture(model: StreamModel, request: Request) -> Image.Image:
    """A picture; all positions of all rows, padded to one length, are read again for each code."""
    prompting, network, draw = model.prompting, model.network, draw_of(request, model.defaults, model.image_temperature)
    shares = prompting.drawing(request.prompt, (), draw.guidance)
    weights = [share.weight for share in shares]
    rows = [list(share.ids) for share in shares]
    if model.defaults.guidance_scale == 3.0:  # Anole's third row, which is the second one again
        rows.insert(1, rows[1])
        weights = [draw.guidance, IMAGE_GUIDANCE - draw.guidance, 1 - IMAGE_GUIDANCE]
    length, codes = max(map(len, rows)), prompting.codes.to(network.device)
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=network.device)
    ids = torch.tensor([[prompting.pad] * (length - len(row)) + row for row in rows], device=network.device)
    generator, numbers = torch.Generator().manual_seed(request.seed), []
    for _ in range(model.codec.config.rows**2):
        places = (mask.cumsum(1) - 1).clamp_min(0)
        states = network.model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False)
        logits = network.lm_head(states.last_hidden_state).float()[:, -1]
        told = sum(weight * row for weight, row in zip(weights, logits, strict=True))
        numbers.append(_drawn(told, codes, draw, generator))
        ids = torch.cat([ids, codes[numbers[-1]].expand(len(ids), 1)], 1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
    return model.codec.decode(numbers)


def _drawn(logits: Any, codes: Tensor, draw: Draw, generator: torch.Generator) -> int:
    """The number of the code that is drawn from the whole vocabulary, where all but codes have no chance."""
    scaled = torch.full_like(logits, -torch.inf)
    scaled[codes] = logits[codes] / draw.temperature
    if draw.top_k:
        scaled[scaled < scaled.topk(min(draw.top_k, len(scaled))).values[-1]] = -torch.inf
    falling, order = scaled.sort(descending=True, stable=True)
    mass = falling.double().softmax(0).cumsum(0)
    gone = torch.cat([mass.new_zeros(1), mass[:-1]]) >= draw.top_p
    scaled[order[gone]] = -torch.inf
    noise = torch.empty(len(codes)).exponential_(generator=generator).to(logits.device)
    return int((scaled[codes].double().softmax(0) / noise).argmax())


def works(model: StreamModel, task: str, tokens: int) -> dict[str, Work]:
    """What is measured, by name; each does the same requests."""
    asked = requests(task, tokens)
    ours: Any = model.understand if task == "text" else model.generate
    plain: Any = plain_text if task == "text" else plain_picture
    return {
        "plain": lambda: [plain(model, one) for one in asked],
        "one by one": lambda: [answer for one in asked for answer in ours([one])],
        f"batch of {COUNT[task]}": lambda: list(ours(asked)),
    }


def differs(done: dict[str, list[Any]]) -> str:
    """Which way gives something else than the plain one; "" where none does."""
    told = {name: [one if isinstance(one, str) else one.tobytes() for one in found] for name, found in done.items()}
    return ", ".join(name for name, found in told.items() if found != told["plain"])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", choices=("liquid", "anole"))
    arguments.add_argument("task", choices=("text", "images"))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=32, help="new tokens of an answer")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument("--only", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    model = built(chosen.model, WORDS, chosen.device, getattr(torch, chosen.dtype))
    measured = works(model, chosen.task, chosen.tokens)
    if chosen.only:
        if chosen.task == "text":  # what libraries load once is nobody's
            model.understand(requests("text", 2)[:1])
        else:
            model.generate(requests("images", 0)[:1])
        print(extra_peak(measured[chosen.only], chosen.device))
        return
    first = {name: run() for name, run in measured.items()}
    if (wrong := differs(first)) and chosen.device == "cpu" and chosen.dtype == "float32":
        sys.exit(f"stream_speed: not what the plain way gives: {wrong}")
    times = medians(measured, chosen)
    on = f"{chosen.dtype}, {chosen.device}, {chosen.threads} threads"
    made = Table("way", "seconds", "speed", "extra peak MiB", title=f"{chosen.model} {chosen.task}, {on}")
    for name, took in times.items():
        made.add_row(name, f"{took:.2f}", f"{times['plain'] / took:.2f}x", f"{extra_peak_apart(name):.0f}")
    Console(width=max(100, Console().width)).print(made)


if __name__ == "__main__":
    main()
