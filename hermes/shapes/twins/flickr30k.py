"""The twins of Flickr30k: 300 scenes with five captions each."""

import random
from functools import partial
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.captions import references
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

IMAGES = 300
# How well the five captions agree: the CIDEr, x 100, of one of them held against the other four, on average.
AGREEMENT = 170.0


def twin(name: str) -> Twin:
    """The twin of Flickr30k, and of Karpathy's images, about other scenes."""
    return Twin(partial(rows, name), IMAGES, best=AGREEMENT)


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """One row a scene."""
    found: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, name), IMAGES)):
        rng = random.Random(derive_seed(seed, split, name, number))
        captions = references(scene, rng)
        found.append(
            {
                "image": draw(scene),
                "caption": captions,
                "sentids": [str(number * len(captions) + place) for place in range(len(captions))],
                "img_id": str(number),
                "filename": f"shapes_{split}_{number:06d}.png",
            }
        )
    return found
