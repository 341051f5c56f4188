"""How exactly the parser reads pictures: drawn validation scenes, degraded ones, and, if asked, reconstructed ones.

python benchmarks/parser_accuracy.py [--n 2000] [--reconstruct MODULE:FUNCTION]

FUNCTION takes a list of PIL images and returns as many. Everything is a share of all objects or pictures, 0..1.
"""

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from itertools import islice

import numpy as np
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from hermes.harness.records.seeds import derive_seed
from hermes.shapes.draw import draw
from hermes.shapes.parse import Parsed, parse_many
from hermes.shapes.scene import Obj, Scene, scenes

ATTRIBUTES = ("shape", "color", "size")


def blurred(image: Image.Image) -> Image.Image:
    """Gaussian blur of one pixel."""
    return image.filter(ImageFilter.GaussianBlur(1.0))


def noisy(image: Image.Image, deviation: float = 10.0) -> Image.Image:
    """Gaussian noise on every channel, fixed by the picture."""
    pixels = np.asarray(image, dtype=np.float32)
    rng = np.random.default_rng(derive_seed("noise", image.tobytes().hex()))
    return Image.fromarray(np.clip(pixels + rng.normal(0, deviation, pixels.shape), 0, 255).astype(np.uint8))


def compressed(image: Image.Image, quality: int = 75) -> Image.Image:
    """Through JPEG, which halves the resolution of colour."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def enlarged(image: Image.Image) -> Image.Image:
    """256 x 256 pixels, as large models draw."""
    return image.resize((256, 256), Image.Resampling.BICUBIC)


def is_right(scene: Scene, parsed: Parsed) -> bool:
    """Every object read with its cell, shape, colour and size, nothing left unread, nothing added."""
    return sorted(map(_facts, scene.objects)) == sorted(map(_facts, parsed.objects)) and not parsed.unread


def _facts(obj: Obj) -> tuple[int, str, str, str]:
    return obj.cell, obj.shape, obj.color, obj.size


def accuracy(drawn: Sequence[Scene], parsed: Sequence[Parsed]) -> dict[str, float]:
    """Shares: ``pictures`` all right, ``pictures of k``, objects ``found`` in their cell, and each attribute right."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for scene, reading in zip(drawn, parsed, strict=True):
        right = is_right(scene, reading)
        marks["pictures"].append(right)
        marks[f"pictures of {len(scene.objects)}"].append(right)
        read = {obj.cell: obj for obj in reading.objects}
        for obj in scene.objects:
            marks["found"].append(obj.cell in read)
            for attribute in ATTRIBUTES:
                seen = read.get(obj.cell)
                marks[attribute].append(seen is not None and getattr(seen, attribute) == getattr(obj, attribute))
    return {name: float(np.mean(found)) for name, found in marks.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--n", type=int, default=2000, help="how many scenes")
    arguments.add_argument("--reconstruct", help="MODULE:FUNCTION from images to images")
    chosen = arguments.parse_args()
    drawn = list(islice(scenes("validation", 0, "parser accuracy"), chosen.n))
    images = [draw(scene) for scene in drawn]
    sets = {"drawn": images}
    for change in (enlarged, blurred, noisy, compressed):
        sets[change.__name__] = [change(image) for image in images]
    if chosen.reconstruct:
        module, _, function = chosen.reconstruct.partition(":")
        sets["reconstructed"] = getattr(import_module(module), function)(images)
    shares: dict[str, dict[str, float]] = {}
    for name, pictures in sets.items():
        start = time.process_time()
        parsed = parse_many(pictures)
        spent = time.process_time() - start
        shares[name] = accuracy(drawn, parsed) | {"ms a picture": 1e3 * spent / len(pictures)}
    counts = sorted({len(scene.objects) for scene in drawn})
    measures = ("pictures", *(f"pictures of {count}" for count in counts), "found", *ATTRIBUTES, "ms a picture")
    table = Table("share right", *sets, title=f"parser accuracy, {chosen.n} validation scenes")
    for measure in measures:
        table.add_row(measure, *(f"{found[measure]:.4f}" if measure in found else "" for found in shares.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
