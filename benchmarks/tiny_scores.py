"""Scores of hermes-tiny on scenes of a held-out split: the tokeniser, U by kind of question, G by guidance."""

import argparse
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.models.tiny.tokenizer_image import to_picture, to_tensor
from hermes.harness.models.tiny.watch import generation, held_out, understanding
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.parse import parse_many
from hermes.shapes.scene import scenes

GUIDANCE = (0.0, 0.5, 1.0, 2.0)


def rebuild(model: TinyModel, image: Image.Image) -> Image.Image:
    """The image after the tokeniser's encoder and decoder."""
    codes = model.images.encode(to_tensor(np.asarray(image)[None]))
    return to_picture(model.images.decode(codes)[0])


def reconstruct(images: Sequence[Image.Image]) -> list[Image.Image]:
    """All images after the shipped tokeniser (for parser_accuracy.py)."""
    model = TinyModel.load()
    return [rebuild(model, image) for image in images]


@torch.inference_mode()
def tokeniser_accuracy(model: TinyModel, split: Split, count: int) -> tuple[float, float]:
    """Share of objects with the right place, shape, colour and size after reconstruction, and of scenes all right."""
    chosen = list(itertools.islice(scenes(split, 0, "tokenizer scores"), count))
    right, whole = [], []
    for scene, parsed in zip(chosen, parse_many([rebuild(model, draw(scene)) for scene in chosen]), strict=True):
        found = {(obj.cell, obj.shape, obj.color, obj.size) for obj in parsed.objects}
        hits = [(obj.cell, obj.shape, obj.color, obj.size) in found for obj in scene.objects]
        right += hits
        whole.append(all(hits) and len(found) == len(hits))
    return float(np.mean(right)), float(np.mean(whole))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hermes-tiny")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    model = TinyModel.load(options.model)
    objects, whole = tokeniser_accuracy(model, options.split, options.count)
    items = held_out(options.split, options.count)
    print(f"{options.count} scenes of the {options.split} split, {model.info.parameters} parameters\n")
    print("| measure | value |\n|---|---|")
    print(f"| objects right after the tokeniser | {objects:.3f} |\n| scenes right after the tokeniser | {whole:.3f} |")
    for name, value in understanding(model, items).items():
        print(f"| {name} | {value:.3f} |")
    for guidance in GUIDANCE:
        scores = generation(model, items, guidance)
        print(f"| G, guidance {guidance:g} | {scores['G']:.3f} |")


if __name__ == "__main__":
    main()
