"""GenEval's six tasks in the shapes world: prompts with the ground truth in GenEval's own metadata, and true scenes."""

import random
from collections.abc import Mapping
from itertools import product
from typing import Any

from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError
from hermes.shapes.captions import (
    photo_of_colored,
    photo_of_count,
    photo_of_object,
    photo_of_position,
    photo_of_two,
    photo_of_two_colored,
)
from hermes.shapes.scene import (
    COLORS,
    GRID,
    SHAPES,
    SIZES,
    Scene,
    place,
    split_of,
)
from hermes.shapes.words import RELATIONS

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")


def geneval_prompt(tag: str, rng: random.Random, split: Split = "test") -> dict[str, Any]:
    """One prompt of a task: ``{tag, include: [{class, count, color?, position?}], exclude?, prompt}``.

    ``position`` is ``[relation, index of the anchor in include]``. For ``color_attr`` the two coloured shapes are a
    composition of the split; the prompts of the other tasks leave the composition open.
    Source: evaluation_metadata.jsonl of djghosh13/geneval. Raises HermesError for an unknown task.
    """
    shape, other = rng.sample(SHAPES, 2)
    if tag == "single_object":
        return _metadata(tag, photo_of_object(shape), {"class": shape, "count": 1})
    if tag == "two_object":
        first, second = ({"class": name, "count": 1} for name in (shape, other))
        return _metadata(tag, photo_of_two(shape, other), first, second)
    if tag == "counting":
        count = rng.randint(2, 4)
        found = _metadata(tag, photo_of_count(shape, count), {"class": shape, "count": count})
        return found | {"exclude": [{"class": shape, "count": count + 1}]}
    if tag == "colors":
        color = rng.choice(COLORS)
        return _metadata(tag, photo_of_colored(color, shape), {"class": shape, "count": 1, "color": color})
    if tag == "position":
        relation = rng.choice(RELATIONS)
        target = {"class": shape, "count": 1, "position": [relation, 0]}
        return _metadata(tag, photo_of_position(shape, relation, other), {"class": other, "count": 1}, target)
    if tag == "color_attr":
        colors = rng.sample(COLORS, 2)
        while split_of(_key((colors[0], shape), (colors[1], other))) != split:
            colors, (shape, other) = rng.sample(COLORS, 2), rng.sample(SHAPES, 2)
        first, second = (
            {"class": name, "count": 1, "color": color} for color, name in zip(colors, (shape, other), strict=True)
        )
        return _metadata(tag, photo_of_two_colored((colors[0], shape), (colors[1], other)), first, second)
    raise HermesError(f"{tag!r} is not a GenEval task; choose one of {', '.join(TAGS)}")


def geneval_scene(metadata: Mapping[str, Any], rng: random.Random, large: float = 0.5) -> Scene:
    """A scene that meets the metadata, with no object left over; what it leaves open is drawn.

    A position is clear: the objects lie at least as far apart along the asked axis as along the other one. ``large`` is
    the share of large objects.
    """
    same = rng.choice(COLORS) if rng.random() < 0.5 else None
    pairs = [
        (entry.get("color") or (same if entry["count"] > 1 else None) or rng.choice(COLORS), entry["class"])
        for entry in metadata["include"]
        for _ in range(entry["count"])
    ]
    position = next((entry["position"][0] for entry in metadata["include"] if "position" in entry), None)
    cells = _cells(position, rng) if position else rng.sample(range(GRID * GRID), len(pairs))
    objects = [
        place(shape, color, rng.choices(SIZES, (1 - large, large))[0], cell, rng)
        for (color, shape), cell in zip(pairs, cells, strict=True)
    ]
    return Scene(tuple(rng.sample(objects, len(objects))), rng.getrandbits(48))


def _metadata(tag: str, prompt: str, *include: dict[str, Any]) -> dict[str, Any]:
    return {"tag": tag, "include": list(include), "prompt": prompt}


def _key(*names: tuple[str, str]) -> str:
    return " + ".join(sorted(" ".join(name) for name in names))


def _cells(relation: str, rng: random.Random) -> tuple[int, int]:
    """Cells of the anchor and of the object that lies so."""
    along = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}[relation]
    fitting = []
    for anchor, target in product(range(GRID * GRID), repeat=2):
        rows, columns = target // GRID - anchor // GRID, target % GRID - anchor % GRID
        forward = rows * along[0] + columns * along[1]
        if forward > 0 and forward >= abs(rows * along[1] + columns * along[0]):
            fitting.append((anchor, target))
    return rng.choice(fitting)
