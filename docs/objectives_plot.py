"""Draw docs/objectives.png: every objective over the plane of the two margins, and where its gradient pushes a pair.

    python docs/objectives_plot.py docs/objectives.png

Pairs have both sides; `replay` is left out, its loss is 0 everywhere.
"""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from hermes.align.losses.objectives import OBJECTIVES, Margins

REACH, STEPS, COLUMNS = 4.0, 161, 4
ARROWS = np.linspace(-3.6, 3.6, 13)
LONGEST, UNIT = 1.0, 0.6  # A gradient of 1 is drawn as long as arrows lie apart.
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
COLORS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.0, 0.8, 256)))  # Light enough for black arrows.
Grid = NDArray[np.float64]


def field(objective: str, und: Grid, gen: Grid) -> tuple[Grid, Grid, Grid]:
    """The loss and its negative gradient by the margins, by autograd; all of the shape of ``und``."""
    plane = [torch.tensor(grid.ravel(), requires_grad=True) for grid in (und, gen)]
    present = torch.ones(und.size, dtype=torch.bool)
    loss = OBJECTIVES[objective].loss(Margins(plane[0], plane[1], present, present))
    slopes = torch.autograd.grad(loss.sum(), plane, allow_unused=True)
    push = [np.zeros_like(und) if slope is None else -slope.numpy().reshape(und.shape) for slope in slopes]
    return loss.detach().numpy().reshape(und.shape), push[0], push[1]


def draw(panel: Axes, objective: str, norm: BoundaryNorm) -> None:
    """One objective: the loss in colours, and the negative gradient as arrows of its length, at most ``LONGEST``."""
    axis = np.linspace(-REACH, REACH, STEPS)
    loss, _, _ = field(objective, *np.meshgrid(axis, axis))
    panel.contourf(axis, axis, loss, levels=LEVELS, norm=norm, cmap=COLORS, extend="max")
    und, gen = np.meshgrid(ARROWS, ARROWS)
    _, right, up = field(objective, und, gen)
    steep = np.hypot(right, up)
    shown = np.minimum(1, LONGEST / np.maximum(steep, LONGEST))
    panel.quiver(
        und, gen, shown * right, shown * up, angles="xy", scale_units="xy", scale=1 / UNIT, width=0.008, pivot="mid"
    )
    panel.plot(0, 0, "o", markersize=8, markerfacecolor="#D55E00", markeredgecolor="white")
    panel.set(title=objective, xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    panel.set(xticks=(-4, -2, 0, 2, 4), yticks=(-4, -2, 0, 2, 4))


def main(out: Path) -> None:
    """Write the sheet."""
    names = [name for name in OBJECTIVES if name != "replay"]
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(12, 3.1 * rows), dpi=150, layout="constrained")
    norm = BoundaryNorm(LEVELS, 256, extend="max")
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for panel, name in zip(panels.flat, names, strict=False):
        draw(panel, name, norm)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    about = "arrows: negative gradient, cut at length 1; circle: start of training, where both margins are 0"
    figure.supxlabel(f"$\\Delta_{{und}}$, margin of the captions\n{about}", fontsize=11)
    figure.supylabel("$\\Delta_{gen}$, margin of the images", fontsize=11)
    bar = figure.colorbar(ScalarMappable(norm, COLORS), ax=panels, label="loss", pad=0.01, extend="max")
    bar.set_ticks(LEVELS, labels=[f"{level:g}" for level in LEVELS])
    picture = BytesIO()
    figure.savefig(picture, format="png")
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
