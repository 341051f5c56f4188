"""Homologous items whose captions name no place, to see whether plans can be preferred: GenEval prompts, train scenes.

python benchmarks/plan_preferences.py --out plans
hermes data questions plans/captions.jsonl --by rules --out plans/items.jsonl
hermes align --data plans/items.jsonl --judge oracle --rounds 1 --recipe none --seed SEED --out runs-plans
hermes eval --model runs-plans/round-1/checkpoint --tasks geneval,homologous-u,homologous-g --seed SEED --out after
hermes eval --tasks geneval,homologous-u,homologous-g --seed SEED --out before
hermes compare before after
"""

import argparse
import json
import random
from pathlib import Path

from hermes.shapes.draw import draw
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.scene import split_of


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    while len(rows) < options.items:
        metadata = geneval_prompt(TAGS[len(rows) % len(TAGS)], rng, "train")
        scene = geneval_scene(metadata, rng)
        if split_of(scene.key) == "train":
            name = f"{len(rows):04d}.png"
            draw(scene).save(options.out / name)
            rows.append({"id": name[:-4], "image": name, "caption": metadata["prompt"]})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (options.out / "captions.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
