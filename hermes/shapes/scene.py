"""Scenes of the built-in world: one to four coloured shapes on a 48 x 48 canvas, and the split of each."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split

CANVAS = 48
GRID = 3
CELL = CANVAS // GRID
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
SIZES = ("small", "large")
RADIUS = {"small": (4.0, 4.8), "large": (6.3, 7.2)}
SHIFT = 1.5


@dataclass(frozen=True)
class Obj:
    """One object: centre (x right, y down) and radius in pixels, tilt in degrees, cell = row * GRID + column."""

    shape: str
    color: str
    size: str
    cell: int
    x: float
    y: float
    radius: float
    tilt: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Objects in random order; ``seed`` fixes the drawing's jitter (background, shades, noise)."""

    objects: tuple[Obj, ...]
    seed: int

    @property
    def key(self) -> str:
        """What decides the split: which coloured shapes meet. A lone object counts with its size and cell."""
        if len(self.objects) == 1:
            only = self.objects[0]
            return f"{only.name} {only.size} {only.cell}"
        return " + ".join(sorted(obj.name for obj in self.objects))


def split_of(key: str) -> Split:
    """80 % of the keys are train, 10 % validation, 10 % test; a hash decides, so the splits cannot overlap."""
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") % 10
    return "test" if bucket == 9 else "validation" if bucket == 8 else "train"


def place(shape: str, color: str, size: str, cell: int, rng: random.Random) -> Obj:
    """One object in a cell, with jitter of position, radius and tilt."""
    row, column = divmod(cell, GRID)
    low, high = RADIUS[size]
    return Obj(
        shape=shape,
        color=color,
        size=size,
        cell=cell,
        x=(column + 0.5) * CELL + rng.uniform(-SHIFT, SHIFT),
        y=(row + 0.5) * CELL + rng.uniform(-SHIFT, SHIFT),
        radius=rng.uniform(low, high),
        tilt=rng.uniform(-8.0, 8.0),
    )


def compose(names: Sequence[tuple[str, str]], rng: random.Random) -> Scene:
    """A scene of the given (color, shape) pairs at free cells and sizes."""
    cells = rng.sample(range(GRID * GRID), len(names))
    objects = tuple(
        place(shape, color, rng.choice(SIZES), cell, rng) for (color, shape), cell in zip(names, cells, strict=True)
    )
    return Scene(objects, rng.getrandbits(48))


def random_scene(rng: random.Random) -> Scene:
    """One to four objects. A third of the scenes with two or more repeat a shape, a colour or a whole object, so
    that counting and telling apart are needed."""
    count = rng.choices((1, 2, 3, 4), weights=(2, 3, 3, 2))[0]
    names = [(rng.choice(COLORS), rng.choice(SHAPES)) for _ in range(count)]
    if count > 1 and rng.random() < 0.35:
        kind = rng.choice(("shape", "color", "both"))
        color, shape = names[0]
        for k in range(1, rng.randint(2, count)):
            names[k] = (
                color if kind != "shape" else names[k][0],
                shape if kind != "color" else names[k][1],
            )
    return compose(names, rng)


def scenes(split: Split, seed: int, purpose: str = "") -> Iterator[Scene]:
    """An endless stream of scenes of one split.

    Keys of other splits are skipped, so the splits share no scene.
    """
    rng = random.Random(derive_seed(seed, split, purpose, "scenes"))
    while True:
        scene = random_scene(rng)
        if split_of(scene.key) == split:
            yield scene
