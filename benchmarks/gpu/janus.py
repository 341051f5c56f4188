"""Janus-Pro 7B: tokens a second of answers, pictures a second, as the adapter asks transformers for them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gpu.measuring import Figure, Place, counted, rate
from gpu.models import janus, janus_outline
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.janus.likelihood import Likelihood
from hermes.harness.models.seeded import Draw

BATCH, PROMPT = 8, 24


def check(place: Place) -> Iterator[Figure]:
    """In bfloat16; pictures with guidance, all codes one by one, decoded in float32."""
    network = janus(place, torch.bfloat16)
    tokens = place.pick(32, 4)
    text, picture = passes(place, network, tokens)
    for rows in (1, BATCH):
        name = f"text, batch {rows}, {tokens} tokens"
        yield from rate(place, name, rows * tokens, "tokens", lambda n=rows: write(network, n, tokens), rows * text)
    codes = network.config.vision_config.num_image_tokens
    name = f"images, batch {BATCH}, {codes} codes, first run"
    yield from rate(place, name, BATCH, "pictures", lambda: draw(network, BATCH), BATCH * picture, warm=False)


def passes(place: Place, network: Any, tokens: int) -> tuple[float, float]:
    """FLOPs of an answer behind a picture, and of a picture with guidance, which is two rows: of one pass over all."""
    outline = janus_outline(place)
    batch, module = outline.build(1).batch, Likelihood(network)
    with torch.no_grad(), torch.autocast(torch.device(place.device).type, torch.bfloat16):
        text, image = (
            counted(lambda side=side: module(batch(side, 1, tokens).to(place.device))) for side in ("text", "image")
        )
    return text / 2, image


def asked(network: Any, rows: int, seen: int) -> dict[str, Tensor]:
    """Prompts behind so many places of a picture."""
    config, generator = network.config, torch.Generator().manual_seed(2)
    words = torch.randint(4, config.image_token_id, (rows, PROMPT), generator=generator)
    ids = torch.cat([torch.full((rows, seen), config.image_token_id), words], 1).to(network.device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def write(network: Any, rows: int, tokens: int) -> Tensor:
    """Greedy answers (rows, tokens), which nothing ends, each about its own picture."""
    from transformers import GenerationMixin, LogitsProcessorList

    from hermes.harness.models.seeded_draws import SeededDraws

    vision = network.config.vision_config
    inputs = asked(network, rows, vision.num_image_tokens)
    shape = (rows, 3, vision.image_size, vision.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(network.device, network.dtype)
    found: Tensor = GenerationMixin.generate(
        network,
        **inputs,
        pixel_values=pixels,
        logits_processor=LogitsProcessorList([SeededDraws([Draw(row) for row in range(rows)])]),
        max_new_tokens=tokens,
        do_sample=False,
        guidance_scale=None,
    )
    return found[:, inputs["input_ids"].shape[1] :]


def draw(network: Any, rows: int) -> list[Tensor]:
    """Pictures (1, S, S, 3) with guidance, each code drawn by its row's own generator."""
    from transformers import LogitsProcessorList

    from hermes.harness.models.seeded_draws import SeededDraws

    draws = [Draw(row, temperature=1.0, guidance=5.0) for row in range(rows)]
    codes = network.generate(
        **asked(network, rows, 0),
        generation_mode="image",
        logits_processor=LogitsProcessorList([SeededDraws(draws)]),
        do_sample=False,
        guidance_scale=1.0,
    )
    with torch.inference_mode(), full_float32(str(codes.device)):
        return [network.decode_image_tokens(row[None]) for row in codes]
