"""Show-o and HermesFlow without weights, for plans."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hermes.harness.models.masks import fullest, masks_of
from hermes.harness.models.outline import Blank, Outline, Side
from hermes.harness.models.showo.config import ShowoConfig, read_config
from hermes.harness.models.showo.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.showo.load import phi_settings
from hermes.harness.models.showo.phi import Phi, Shape
from hermes.harness.models.showo.prompting import Layout

PROMPT = 32
PHI = {"hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "intermediate_size": 8192}
"""Phi-1.5 (microsoft/phi-1_5, config.json), where no Phi settings are beside the checkpoint."""


@cache
def outline_of(path: Path, steps: int) -> Outline | None:
    """Of a checkpoint's config.json; None for a variant that reads CLIP's features."""
    config = read_config(path)
    if config.clip:
        return None
    shape = _shape(config, PHI | phi_settings(path.parent, config.llm_model_path))
    return Outline(shape.layers, partial(_build, config, shape), config.num_vq_tokens, steps)


def _shape(config: ShowoConfig, phi: dict[str, Any]) -> Shape:
    return Shape(
        vocab=config.as_json()["vocab_size"],
        width=int(phi["hidden_size"]),
        layers=int(phi["num_hidden_layers"]),
        heads=int(phi["num_attention_heads"]),
        inner=int(phi["intermediate_size"]),
    )


def _build(config: ShowoConfig, shape: Shape, layers: int) -> Blank:
    with torch.device("meta"):
        network = Phi(replace(shape, layers=layers))
    layout = Layout(config.vocabulary(end=0), config.max_text)
    batch = partial(_batch, layout, config.num_vq_tokens)
    return Blank(Likelihood(network), network, batch, partial(setattr, network, "recompute"))


def _batch(layout: Layout, codes: int, side: Side, pairs: int, tokens: int) -> LikelihoodBatch:
    """Both texts of a pair stand behind one picture, another for each pair."""
    prompt, text = (1,) * min(PROMPT, layout.max_text - 1), (1,) * tokens if side == "text" else None
    seed = fullest(partial(masks_of, tokens=codes))
    items = []
    for pair in range(pairs):
        image = np.full(codes, layout.vocabulary.first_code)
        image[0] += pair
        items += [Prepared(prompt, image, text, seed)] * 2
    return collate_items(layout, items)
