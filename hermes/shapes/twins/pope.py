"""The twin of POPE: 50 images a sampling, each asked about three objects that are there and three that are not."""

import random
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import islice, product

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.scene import COLORS, SHAPES, Scene, scenes
from hermes.shapes.words import with_article

SAMPLINGS = ("random", "popular", "adversarial")
NAMES = tuple(f"{color} {shape}" for color, shape in product(COLORS, SHAPES))
IMAGES = 50
PAIRS = 3


def twin(name: str) -> Twin:
    """The twin of POPE, and of LLaVA's set, about other scenes."""
    return Twin(partial(rows, name), len(SAMPLINGS) * IMAGES * 2 * PAIRS)


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """The samplings in turn, image by image.

    As in the paper only images with at least three different objects are asked about. Absent objects are drawn at
    random, or are the most frequent ones in all images, or recombine the colours and shapes of the image itself.
    """
    crowded = (scene for scene in scenes(split, seed, name) if len({obj.name for obj in scene.objects}) >= PAIRS)
    images = list(islice(crowded, len(SAMPLINGS) * IMAGES))
    counts = Counter(object_ for scene in images for object_ in sorted({obj.name for obj in scene.objects}))
    found: list[Row] = []
    for number, scene in enumerate(images):
        sampling = SAMPLINGS[number % len(SAMPLINGS)]
        rng = random.Random(derive_seed(seed, split, name, number))
        present = rng.sample(sorted({obj.name for obj in scene.objects}), PAIRS)
        absent = absent_objects(scene, sampling, counts, rng)
        picture = draw(scene)
        asked = [
            (object_, label)
            for pair in zip(present, absent, strict=True)
            for object_, label in zip(pair, ("yes", "no"), strict=True)
        ]
        for object_, label in asked:
            found.append(
                {
                    "id": str(len(found)),
                    "question_id": str(len(found) + 1),
                    "question": f"Is there {with_article(object_)} in the image?",
                    "answer": label,
                    "image_source": f"shapes_{split}_{number:06d}",
                    "image": picture,
                    "category": sampling,
                }
            )
    return found


def absent_objects(scene: Scene, sampling: str, counts: Mapping[str, int], rng: random.Random) -> list[str]:
    """Three objects that are not in the scene, as the sampling has it."""
    absent = [name for name in NAMES if name not in {obj.name for obj in scene.objects}]
    rng.shuffle(absent)
    if sampling == "popular":
        absent.sort(key=lambda name: -counts.get(name, 0))
    elif sampling == "adversarial":
        parts = {word for obj in scene.objects for word in (obj.color, obj.shape)}
        absent.sort(key=lambda name: -sum(word in parts for word in name.split()))
    return absent[:PAIRS]
