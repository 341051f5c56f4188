"""Draw docs/before-after.png from an align folder: real scene, drawn by the base model, drawn after the last round.

    python docs/before_after.py runs/hermes-tiny/align-ID docs/before-after.png

Not picked by hand: the first six test items whose two drawings score differently, better or worse.
"""

import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.data import WORLD_SEED
from hermes.harness.store import ResponseStore
from hermes.harness.types import Score

ITEMS, SIZE, GAP, TEXT = 6, 144, 12, 86


def drawn(evaluation: Path) -> tuple[ResponseStore, dict[str, float]]:
    """The store of a round's drawings, and the accuracy of each item's drawing."""
    folder = evaluation / "homologous-g"
    scores = map(Score.model_validate_json, (folder / "scores.jsonl").read_text().splitlines())
    return ResponseStore(folder, evaluation / "media"), {s.group_id: s.values["accuracy"] for s in scores if s.values}


def main(align: Path, out: Path) -> None:
    """Write the sheet."""
    rounds = sorted(align.glob("round-*"), key=lambda path: int(path.name.split("-")[1]))
    (before, scored), (after, rescored) = (drawn(home / "evaluation") for home in (rounds[0], rounds[-1]))
    asked = Understanding()
    real = {s.group_id: s.images[0] for s in asked.samples(asked.shapes_rows("test", WORLD_SEED))}
    drawer = Generation()
    samples = [s for s in drawer.samples(drawer.shapes_rows("test", WORLD_SEED)) if s.group_id in scored]
    shown = [s for s in samples if scored[s.group_id] != rescored[s.group_id]][:ITEMS]
    sheet = Image.new("RGB", (3 * SIZE + 4 * GAP, len(shown) * (SIZE + TEXT) + 40), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(("real scene", "base model", f"after {rounds[-1].name}")):
        pen.text((GAP + column * (SIZE + GAP), 12), title, "black", font)
    for row, sample in enumerate(shown):
        top, key = 36 + row * (SIZE + TEXT), (sample.id, 0)
        pictures = (real[sample.group_id], before.image(before.read()[key]), after.image(after.read()[key]))
        for column, picture in enumerate(pictures):
            sheet.paste(
                picture.open().resize((SIZE, SIZE), Image.Resampling.NEAREST), (GAP + column * (SIZE + GAP), top)
            )
        caption = textwrap.fill(sample.prompt, 68)
        answered = f"questions right: base {scored[sample.group_id]:.2f}, after {rescored[sample.group_id]:.2f}"
        pen.text((GAP, top + SIZE + 4), f"{caption}\n{answered}", "black", font)
    sheet.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
