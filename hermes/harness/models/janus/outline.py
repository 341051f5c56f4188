"""Janus and Janus-Pro without weights, for plans."""

from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from hermes.harness.models.janus.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.outline import Blank, Outline, Side
from hermes.harness.models.recompute import recompute

PROMPT = 48


@cache
def outline_of(path: Path) -> Outline:
    """Of a checkpoint's config.json."""
    from transformers import JanusConfig

    config: Any = JanusConfig.from_json_file(path)
    return Outline(config.text_config.num_hidden_layers, partial(_build, config), config.vision_config.num_image_tokens)


def _build(config: Any, layers: int) -> Blank:
    from transformers import JanusForConditionalGeneration

    config = deepcopy(config)
    config.text_config.num_hidden_layers = layers
    with torch.device("meta"):
        network = JanusForConditionalGeneration(config)
    for frozen in (network.model.vision_model, network.model.vqmodel):
        frozen.requires_grad_(False)
    return Blank(Likelihood(network), network, partial(_batch, config), partial(recompute, network))


def _batch(config: Any, side: Side, pairs: int, tokens: int) -> LikelihoodBatch:
    codes, size = config.vision_config.num_image_tokens, config.vision_config.image_size
    seen, pixels = (0,) * PROMPT + (config.image_token_id,) * codes, torch.zeros(3, size, size)
    if side == "image":
        item = Prepared((0,) * PROMPT, (0,) * codes, None, drawn=True)
    elif side == "again":
        item = Prepared(seen, (0,) * codes, pixels, drawn=True)
    else:
        item = Prepared(seen, (0,) * tokens, pixels, drawn=False)
    return collate_items([item] * (2 * pairs), 0, size)
