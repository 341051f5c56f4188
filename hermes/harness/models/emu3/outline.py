"""Emu3 without weights, for plans: one set of weights, or one for each side."""

from copy import deepcopy
from functools import cache, partial
from math import isqrt
from pathlib import Path
from typing import Any

import torch

from hermes.harness.models.emu3.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.outline import Blank, Outline, Side
from hermes.harness.models.recompute import recompute

PROMPT = 32
AREA = 720 * 720  # What transformers' Emu3Processor has where config.json names none.
FACTOR = 8  # Pixels a code, in width and height.


@cache
def outline_of(path: Path, parts: int) -> Outline:
    """Of a checkpoint's config.json, once for each of the ``parts``."""
    from transformers import Emu3Config

    config: Any = Emu3Config.from_json_file(path)
    side = isqrt(getattr(config, "image_area", None) or AREA) // FACTOR
    codes = side * (side + 1)
    return Outline(config.text_config.num_hidden_layers, partial(_build, config, codes, parts), codes)


def _build(config: Any, codes: int, parts: int, layers: int) -> Blank:
    from transformers import Emu3ForConditionalGeneration

    config = deepcopy(config)
    config.text_config.num_hidden_layers = layers
    with torch.device("meta"):
        networks = [Emu3ForConditionalGeneration(config) for _ in range(parts)]
    for network in networks:
        network.model.vqmodel.requires_grad_(False)
    module = Likelihood(networks, torch.arange(config.vq_config.codebook_size))
    return Blank(module, module if parts > 1 else networks[0], partial(_batch, codes), partial(_recompute, networks))


def _recompute(networks: list[Any], on: bool) -> None:
    for network in networks:
        recompute(network, on)


def _batch(codes: int, side: Side, pairs: int, tokens: int) -> LikelihoodBatch:
    """A text stands behind the codes of a picture, a picture behind its prompt."""
    asked, before = (tokens, PROMPT + codes) if side == "text" else (codes, PROMPT)
    target = (-1,) * (before - 1) + (0,) * asked
    return collate_items([Prepared((0,) * len(target), target, side == "image")] * (2 * pairs), 0)
