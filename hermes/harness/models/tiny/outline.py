"""hermes-tiny without weights, for plans."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from hermes.harness.models.masks import fullest
from hermes.harness.models.outline import Blank, Outline, Side
from hermes.harness.models.tiny.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items, masks_of
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.system.parsing import json_file

PROMPT = 24


@cache
def outline_of(path: Path, steps: int) -> Outline:
    """Of a checkpoint's config.json."""
    config = json_file(path)
    shape, masks = Shape(**config["shape"]), int(config["image_masks"])
    return Outline(shape.layers, partial(_build, shape, masks), IMAGE_TOKENS, steps)


def _build(shape: Shape, masks: int, layers: int) -> Blank:
    network = Transformer(replace(shape, layers=layers))
    return Blank(Likelihood(network), network, partial(_batch, shape.text, masks))


def _batch(words: int, masks: int, side: Side, pairs: int, tokens: int) -> LikelihoodBatch:
    prompt, image = (1,) * PROMPT, np.full(IMAGE_TOKENS, words)
    text = (1,) * tokens if side == "text" else None
    seed = fullest(partial(masks_of, count=masks))
    return collate_items([Prepared(prompt, image, text, seed)] * (2 * pairs), masks)
