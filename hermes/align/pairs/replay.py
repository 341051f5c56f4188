"""Replay data: what the model was taught before, mixed into preference training so that it is not forgotten."""

import random
from collections.abc import Sequence

from hermes.align.pairs.items import Item
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.shapes.draw import draw
from hermes.shapes.lessons import lesson, planning, training_scenes

CONDITION_DROPOUT = 0.1


def shapes_lessons(count: int, seed: int, plans: float = 0.0) -> list[LikelihoodItem]:
    """``count`` items from lessons on train scenes: an image and one of its dialogues in turn.

    A tenth of the image prompts is empty, as in training with classifier-free guidance. A share of the dialogues,
    ``plans``, makes way for plans.
    """
    rng = random.Random(derive_seed(seed, "replay"))
    planner = random.Random(derive_seed(seed, "replayed plans"))
    scenes = training_scenes("train", derive_seed(seed, "replay scenes"))
    items: list[LikelihoodItem] = []
    while len(items) < count:
        scene = next(scenes)
        taught = lesson(scene, rng)
        image = ImageHandle(draw(scene))
        prompt, answer = rng.choice(taught.dialogues)
        items.append(_image(taught.prompt_for_image, image, rng))
        if planner.random() < plans:
            asked, plan = planning("train", planner)
            items.append(LikelihoodItem("text", asked, image, plan=plan))
        else:
            items.append(LikelihoodItem("text", prompt, image, answer))
    return items[:count]


def homologous(items: Sequence[Item], prompt: str, count: int, seed: int) -> list[LikelihoodItem]:
    """``count`` items from real images and their captions, both ways in turn; for models of the real world."""
    rng = random.Random(derive_seed(seed, "replay"))
    found: list[LikelihoodItem] = []
    while len(found) < count:
        item = rng.choice(items)
        found.append(_image(item.caption, item.image, rng))
        found.append(LikelihoodItem("text", prompt, item.image, item.caption))
    return found[:count]


def _image(prompt: str, image: ImageHandle, rng: random.Random) -> LikelihoodItem:
    dropped = rng.random() < CONDITION_DROPOUT
    return LikelihoodItem("image", "" if dropped else prompt, image, seed=rng.getrandbits(48))
