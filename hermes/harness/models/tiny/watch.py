"""How well a small model understands and draws held-out scenes: what its training watches."""

import itertools
import random
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from hermes.harness.models.tiny.unified import WorldModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, Request, Split
from hermes.shapes import captions
from hermes.shapes.draw import draw
from hermes.shapes.lessons import short_answer
from hermes.shapes.parse import parse_many
from hermes.shapes.questions import QA, answer, homologous
from hermes.shapes.scene import Scene, scenes


def held_out(split: Split, count: int) -> list[tuple[Scene, str, list[QA]]]:
    """Scenes of a split with their full captions and homologous questions."""
    rng = random.Random(derive_seed("watch", split))
    chosen = itertools.islice(scenes(split, 0, "watch"), count)
    return [(scene, captions.full(scene, rng), homologous(scene, rng)) for scene in chosen]


def understanding(model: WorldModel[Any], items: Sequence[tuple[Scene, str, list[QA]]]) -> dict[str, float]:
    """Share of questions answered rightly about the real images: over all ("U") and for each kind ("U color")."""
    config = GenerationConfig()
    asked = [(ImageHandle(draw(scene)), qa) for scene, _, questions in items for qa in questions]
    requests = [
        Request(sample_id=str(n), index=0, prompt=short_answer(qa.question), images=(image,), config=config, seed=n)
        for n, (image, qa) in enumerate(asked)
    ]
    right: dict[str, list[bool]] = {"U": []}
    for (_, qa), said in zip(asked, model.understand(requests), strict=True):
        right["U"].append(said == qa.answer)
        right.setdefault(f"U {qa.kind}", []).append(said == qa.answer)
    return {name: round(fmean(values), 4) for name, values in right.items()}


def generation(
    model: WorldModel[Any], items: Sequence[tuple[Scene, str, list[QA]]], guidance: float = 0.0
) -> dict[str, float]:
    """Share of questions answered rightly about the drawn images ("G"), and how many patches a picture are unread.

    Full captions name every place, so nothing is planned; early in a training nothing could be.
    """
    config = GenerationConfig(guidance_scale=guidance, plan="off")
    requests = [
        Request(sample_id=str(number), index=0, prompt=caption, config=config, seed=derive_seed("watch", number))
        for number, (_, caption, _) in enumerate(items)
    ]
    parsed = parse_many([drawn.image for drawn in model.generate(requests)])
    right = [
        answer(qa.question, seen.objects) == qa.answer
        for (_, _, questions), seen in zip(items, parsed, strict=True)
        for qa in questions
    ]
    excess = [len(seen.objects) - len(scene.objects) for (scene, _, _), seen in zip(items, parsed, strict=True)]
    return {
        "G": round(fmean(right), 4),
        "unread": round(fmean(len(seen.unread) for seen in parsed), 3),
        "excess": round(fmean(excess), 3),
    }
