"""A step of preference training, and how far the plan's time and memory are from it."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from showo_sizes import random_phi
from torch import nn
from torch.nn.functional import logsigmoid

from gpu.measuring import CLOSE, GB, Figure, Place, new_peak, peak_bytes, seconds, share_of_best
from gpu.models import janus, janus_outline, showo_outline, showo_size
from hermes.align.play.budget import Ranks
from hermes.align.play.fits import Training
from hermes.align.play.hardware import BUSY, card_of
from hermes.align.settings import AlignSettings
from hermes.align.training.lora import Lora
from hermes.align.training.optimizers import new_optimizer
from hermes.align.training.preparing import without_dropout
from hermes.align.training.sharding import trainable
from hermes.harness.models.device import device_name
from hermes.harness.models.janus.likelihood import Likelihood as JanusLikelihood
from hermes.harness.models.outline import Outline
from hermes.harness.models.showo.likelihood import Likelihood

PAIRS, TOKENS = 2, 64


def full(place: Place) -> Iterator[Figure]:
    """All weights of Show-o 1.3B, in float32 with bfloat16 arithmetic."""
    phi = random_phi(showo_size(place), place.device).requires_grad_()
    settings = AlignSettings(model="none", bf16=True, dtype="float32", caption_tokens=place.pick(TOKENS, 8))
    yield from stepped(place, showo_outline(place), Likelihood(phi), phi, settings)


def lora(place: Place) -> Iterator[Figure]:
    """LoRA of rank 16 over Janus-Pro 7B in bfloat16."""
    network = janus(place, torch.bfloat16)
    network.model.vqmodel.to(torch.bfloat16)  # as the plan has it; it has no part in a step
    settings = AlignSettings(
        model="none", bf16=True, dtype="bfloat16", lora_rank=place.pick(16, 2), caption_tokens=place.pick(TOKENS, 8)
    )
    yield from stepped(place, janus_outline(place), JanusLikelihood(network), network, settings)


def stepped(
    place: Place, outline: Outline, module: nn.Module, network: nn.Module, settings: AlignSettings
) -> Iterator[Figure]:
    """Pairs through a model with weights: texts, then images, one loss, AdamW; the second and third step."""
    training = Training(outline, ("text", "image"), Ranks(), place.cuda, free=0)
    sizes, budget = training.sizes(settings), training.budget(settings)
    blank = replace(outline.build(1), module=module, network=network)
    if settings.lora_rank:
        Lora(blank, settings, 0)  # type: ignore[arg-type]
    without_dropout(module)
    weights = trainable(module)
    optimizer = new_optimizer(weights, settings, torch.device(place.device))
    batches = [blank.batch(side, PAIRS, settings.caption_tokens).to(place.device) for side in ("text", "image")]
    mixed = torch.autocast(torch.device(place.device).type, torch.bfloat16)
    with torch.no_grad(), mixed:
        before = torch.cat([module(batch)[0] for batch in batches])

    def step() -> None:
        with mixed:
            ratios = torch.cat([module(batch)[0] for batch in batches]) - before
        (-logsigmoid(settings.beta_und * (ratios[::2] - ratios[1::2])).mean()).backward()
        nn.utils.clip_grad_norm_(weights.values(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()

    step()
    new_peak(place)
    took = min(seconds(place, step) for _ in range(2))
    card = card_of(device_name(place.device))
    planned = None if card is None else PAIRS * sizes.flops / card.peak(bf16=True) / BUSY
    name = f"step of {PAIRS} pairs"
    yield Figure(name, took, "s")
    yield Figure(f"{name}: as planned", planned, "s", f"at {BUSY:.0%} of the card's best")
    yield Figure("pairs", PAIRS / took, "pairs/s")
    yield share_of_best(place, name, PAIRS * sizes.flops, took)
    found, expected = peak_bytes(place), budget.peak(PAIRS)
    yield Figure(f"{name}: peak memory", None if found is None else found / GB, "GB")
    yield Figure(f"{name}: peak memory as planned", expected / GB, "GB")
    apart = None if found is None else 100 * (expected / found - 1)
    ok = None if apart is None else abs(apart) <= 100 * CLOSE
    yield Figure(f"{name}: the plan's memory is off by", apart, "%", f"at most {CLOSE:.0%}", ok)
