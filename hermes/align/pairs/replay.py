"""Replay data: what the model was taught before, mixed into preference training so that it is not forgotten."""

import random
from collections.abc import Iterator, Sequence

from hermes.align.pairs.items import Item
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.shapes.draw import draw
from hermes.shapes.lessons import hard_dialogues, lesson, training_scenes

CONDITION_DROPOUT = 0.1
DRAWN = 3
"""One item in so many is an image, where texts are replayed too."""


def shapes_lessons(kinds: Sequence[str], seed: int) -> Iterator[LikelihoodItem]:
    """Items of these kinds without end, on train scenes: two answers for each image, half of them to questions of the
    kinds that the courses of the small models end with.

    A tenth of the image prompts is empty, as in training with classifier-free guidance.
    """
    rng = random.Random(derive_seed(seed, "replay"))
    for number, scene in enumerate(training_scenes("train", derive_seed(seed, "replay scenes"))):
        taught, image = lesson(scene, rng), ImageHandle(draw(scene))
        if "image" in kinds and ("text" not in kinds or number % (DRAWN - 1) == 0):
            yield _image(taught.prompt_for_image, image, rng)
        if "text" in kinds:
            prompt, answer = rng.choice([*hard_dialogues(scene, rng), *taught.dialogues])
            yield LikelihoodItem("text", prompt, image, answer)


def homologous(items: Sequence[Item], prompt: str, kinds: Sequence[str], seed: int) -> Iterator[LikelihoodItem]:
    """Items of these kinds without end, from real images and their captions; for models of the real world."""
    rng = random.Random(derive_seed(seed, "replay"))
    while True:
        item = rng.choice(items)
        drawn = _image(item.caption, item.image, rng)
        if "image" in kinds:
            yield drawn
        if "text" in kinds:
            yield LikelihoodItem("text", prompt, item.image, item.caption)


def _image(prompt: str, image: ImageHandle, rng: random.Random) -> LikelihoodItem:
    dropped = rng.random() < CONDITION_DROPOUT
    return LikelihoodItem("image", "" if dropped else prompt, image, seed=rng.getrandbits(48))
