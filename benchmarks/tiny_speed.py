"""Speed of hermes-tiny as ratios: text with the cache against the plain way, images in a batch and with a plan."""

import argparse
import itertools
import random
import time
from collections.abc import Callable

import torch

from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.models.tiny.packing import ANS, END, SPECIALS, collate, understanding_row
from hermes.harness.models.tiny.writing import Ask, see, write
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.shapes import captions
from hermes.shapes.draw import draw
from hermes.shapes.lessons import short_answer
from hermes.shapes.prompts import TAGS, geneval_prompt
from hermes.shapes.questions import homologous
from hermes.shapes.scene import Scene, scenes


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of some runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


@torch.inference_mode()
def plain_text(model: TinyModel, codes: torch.Tensor, prompt: list[int], tokens: int) -> None:
    """``tokens`` greedy tokens for each image, batched, the whole sequence run again for every token."""
    images = (codes + model.transformer.shape.text).numpy()
    answers: list[list[int]] = [[] for _ in images]
    for _ in range(tokens):
        rows = []
        for image, answer in zip(images, answers, strict=True):
            written = [*prompt, ANS, *answer]
            row = understanding_row(image, [(written[:-1], None)])
            row.tokens[-1] = written[-1]
            rows.append(row)
        batch = collate(rows)
        hidden, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask)
        logits = model.transformer.text_logits(hidden[:, -1])
        logits[:, : len(SPECIALS)] = -torch.inf
        for answer, token in zip(answers, logits.argmax(-1).tolist(), strict=True):
            answer.append(token)


def requests_for(world: list[Scene], rng: random.Random) -> tuple[list[Request], list[Request]]:
    """Six questions about each scene, and one image from each full caption."""
    config = GenerationConfig()
    asks, draws = [], []
    for number, scene in enumerate(world):
        image = ImageHandle(draw(scene))
        for qa in homologous(scene, rng):
            prompt = short_answer(qa.question)
            asks.append(Request(sample_id="u", index=0, prompt=prompt, images=(image,), config=config, seed=number))
        caption = captions.full(scene, rng)
        draws.append(Request(sample_id="g", index=0, prompt=caption, config=config, seed=number))
    return asks, draws


def planned(model: TinyModel, count: int) -> float:
    """The time of images with a plan in the time of the same without one."""
    rng = random.Random(0)
    prompts = [geneval_prompt(TAGS[number % len(TAGS)], rng)["prompt"] for number in range(count)]
    times = []
    for plan in ("on", "off"):
        config = GenerationConfig.model_validate({"plan": plan})
        asked = [
            Request(sample_id="g", index=0, prompt=prompt, config=config, seed=number)
            for number, prompt in enumerate(prompts)
        ]
        times.append(seconds(lambda asked=asked: model.generate(asked)))  # type: ignore[misc]
    return times[0] / times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    model = TinyModel.load()
    asks, draws = requests_for(list(itertools.islice(scenes("test", 0, "speed"), options.scenes)), random.Random(0))
    model.understand(asks[:8])
    model.generate(draws[:8])

    codes = torch.randint(0, 875, (32, 36), generator=torch.Generator().manual_seed(0))
    prompt = model.text.encode(ONE_SENTENCE)
    plain = seconds(lambda: plain_text(model, codes, prompt, options.tokens))
    model.transformer.head.weight.data[END] -= 100
    cached = seconds(
        lambda: write(
            model.transformer,
            see(model.transformer, codes),
            [Ask(i, prompt, max_new_tokens=options.tokens) for i in range(32)],
        )
    )
    model = TinyModel.load()
    single = seconds(lambda: [model.generate([draw]) for draw in draws[:32]])
    batched = seconds(lambda: model.generate(draws[:32]))
    answers, images = seconds(lambda: model.understand(asks), 1), seconds(lambda: model.generate(draws), 1)
    print(f"text, 32 x {options.tokens} tokens in one batch: with the cache against without {plain / cached:.1f}x")
    print(f"32 images: one batch against one by one {single / batched:.1f}x")
    print(
        f"{len(draws)} images of GenEval's prompts: planned and drawn against drawn {planned(model, len(draws)):.2f}x"
    )
    print(f"{len(asks) / answers:.0f} short answers/s, {len(draws) / images:.0f} images/s")


if __name__ == "__main__":
    main()
