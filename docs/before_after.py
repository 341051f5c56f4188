"""Draw docs/before-after.png: real scenes, what the base model draws from their captions, and after the last round.

    python docs/before_after.py                             # the newest self-play under runs/, as `make demo` leaves it
    python docs/before_after.py runs/hermes-tiny/align-ID --out sheet.png

Not picked by hand: the first six test items whose two drawings score differently, better or worse.
"""

import argparse
import json
import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.data.tables import WORLD_SEED
from hermes.harness.models.replay_files import read_stored
from hermes.harness.records.images import ImageHandle
from hermes.harness.run.scoring import read_scores
from hermes.shapes.twins import twin_of

ITEMS, SIZE, GAP, TEXT = 6, 144, 12, 86


def drawn(evaluation: Path) -> tuple[dict[str, ImageHandle], dict[str, float]]:
    """A round's first drawing of each prompt, and the accuracy of each item's drawing."""
    run = json.loads((evaluation / "run.json").read_text(encoding="utf-8"))
    places = {what: evaluation / run["root"] / path for what, path in run["tasks"]["homologous-g"].items()}
    stored = read_stored(str(places["answers"]))
    pictures = {one.sample_id: one.image for one in stored if one.image and one.index == 0}
    return pictures, {s.group_id: s.values["accuracy"] for s in read_scores(places["scores"]) if s.values}


def newest() -> Path:
    """The self-play under runs/ that ended last."""
    found = sorted(Path("runs").glob("*/align-*/history.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("runs/ holds no self-play; run `hermes align --rounds 3` first, or name an align folder")
    return found[-1].parent


def main(align: Path, out: Path) -> None:
    """Write the sheet."""
    rounds = sorted(align.glob("round-*/evaluation"), key=lambda path: int(path.parent.name.split("-")[1]))
    if len(rounds) < 2:
        sys.exit(f"{align} holds no self-play of at least one round; name an align folder")
    (before, scored), (after, rescored) = drawn(rounds[0]), drawn(rounds[-1])
    asked = Understanding()
    real = {s.group_id: s.images[0] for s in asked.samples(twin_of(asked).rows("test", WORLD_SEED))}
    drawer = Generation()
    samples = [s for s in drawer.samples(twin_of(drawer).rows("test", WORLD_SEED)) if s.group_id in scored]
    shown = [s for s in samples if scored[s.group_id] != rescored[s.group_id]][:ITEMS]
    sheet = Image.new("RGB", (3 * SIZE + 4 * GAP, len(shown) * (SIZE + TEXT) + 40), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(("real scene", "base model", f"after {rounds[-1].parent.name}")):
        pen.text((GAP + column * (SIZE + GAP), 12), title, "black", font)
    for row, sample in enumerate(shown):
        top = 36 + row * (SIZE + TEXT)
        pictures = (real[sample.group_id], before[sample.id], after[sample.id])
        for column, picture in enumerate(pictures):
            sheet.paste(
                picture.open().resize((SIZE, SIZE), Image.Resampling.NEAREST), (GAP + column * (SIZE + GAP), top)
            )
        caption = textwrap.fill(sample.prompt, 68)
        answered = f"questions right: base {scored[sample.group_id]:.2f}, after {rescored[sample.group_id]:.2f}"
        pen.text((GAP, top + SIZE + 4), f"{caption}\n{answered}", "black", font)
    sheet.save(out, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("align", nargs="?", type=Path, help="an align folder; default: the newest under runs/")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("before-after.png"))
    options = parser.parse_args()
    main(options.align or newest(), options.out)
