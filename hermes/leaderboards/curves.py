"""U, G and the gap over the rounds of self-play, one line an arm, as a picture."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.leaderboards.guidance import title_of
from hermes.leaderboards.plays import ArmOf, Items, Play, read_plays
from hermes.leaderboards.titles import guided_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of Okabe and Ito without yellow, which any colour vision tells apart; markers tell more arms.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKERS = "osD^vPX*"
SIZE, DPI = (12.0, 4.8), 150  # Sharp at 1200 pixels.


class Point(NamedTuple):
    """A round of an arm: the mean over its seeds, and the standard error of that mean, 0 where there is one seed."""

    round: int
    mean: float
    error: float


class Curves(NamedTuple):
    """What is drawn of one arm; ``guided`` is empty where G was not measured under guidance, and so is its title."""

    u: list[Point]
    g: list[Point]
    gap: list[Point]
    guided: list[Point]
    title: str = ""


def curves_png(folders: Sequence[Path], arm_of: ArmOf, out: Path) -> None:
    """Draw all self-plays under the folders: U, G and the gap over rounds, mean and standard error over an arm's seeds.

    Beside G, dashed, G at the guidance that each round says, where it was measured. Raises as `read_plays`, for
    folders without a self-play, and MissingExtra without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing curves", "plots") from None
    arms = {arm: curves(plays) for arm, plays in read_plays(folders, arm_of).items()}
    if not arms:
        raise HermesError(f"no self-play under {', '.join(map(str, folders)) or 'the given paths'}; align first")
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    _draw(figure, arms)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    write_atomic(out, picture.getvalue())


def curves(plays: Sequence[Play]) -> Curves:
    """The curves of one arm; a round counts the seeds that have played it."""
    found, ways = Curves([], [], [], []), []
    for number in sorted({number for play in plays for number in play.rounds}):
        played = [play.rounds[number] for play in plays if number in play.rounds]
        guided = [one.guided for one in played if one.guided]
        found.u.extend(_point(number, (one.u for one in played)))
        found.g.extend(_point(number, (one.g for one in played)))
        found.gap.extend(_point(number, (one.gap for one in played)))
        if len(guided) == len(played):
            found.guided.extend(_point(number, (one.items for one in guided)))
            ways += [one.way for one in guided]
    return found._replace(title=title_of(ways)) if ways else found


def _point(number: int, seeds: Iterable[Items]) -> list[Point]:
    """One point, or none where no item has a value."""
    means = [fmean(items.values()) for items in seeds if items]
    error = stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0
    return [Point(number, fmean(means), error)] if means else []


def _draw(figure: "Figure", arms: Mapping[str, Curves]) -> None:
    from matplotlib.lines import Line2D

    u, g, gap = figure.subplots(1, 3)
    names = []
    for place, (arm, drawn) in enumerate(arms.items()):
        color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
        shift = (place - (len(arms) - 1) / 2) * min(0.05, 0.3 / len(arms))  # So that bars stand side by side.
        for panel, points in ((u, drawn.u), (g, drawn.g), (gap, drawn.gap)):
            _line(panel, points, shift, color, marker)
        _line(g, drawn.guided, shift, color, marker, guided=True)
        names.append(Line2D([], [], color=color, marker=marker, linewidth=1.8, label=_label(arm)))
    if titles := {drawn.title for drawn in arms.values() if drawn.guided}:
        label = titles.pop() if len(titles) == 1 else guided_title("")
        names.append(Line2D([], [], color="#555555", marker="o", markerfacecolor="white", linestyle="--", label=label))
    if any(point.error for drawn in arms.values() for points in drawn[:4] for point in points):
        names.append(Line2D([], [], linestyle="none", label="bars: standard error\nover seeds"))
    rounds = sorted({point.round for drawn in arms.values() for point in drawn.u})
    span = max(high - low for low, high in (panel.get_ylim() for panel in (u, g, gap)))
    for panel, title in ((u, "U"), (g, "G"), (gap, "Gap U - G (nearer to 0 is better)")):
        low, high = panel.get_ylim()
        top = min((low + high + span) / 2, max(1.0, high))
        panel.set_ylim(top - span, top)  # One scale: a slope means the same in every panel.
        if panel is gap and top - span < 0 < top:
            panel.axhline(0, color="#333333", linewidth=1.0, zorder=1)
        panel.set_title(title, fontsize=13)
        panel.set_xlabel("Round (0: base model)", fontsize=11)
        panel.set_xticks(rounds)
        panel.tick_params(labelsize=10)
        panel.grid(axis="y", color="#dddddd", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(handles=names, loc="outside right center", frameon=False, fontsize=11, labelspacing=0.8)


def _line(panel: "Axes", points: Sequence[Point], shift: float, color: str, marker: str, guided: bool = False) -> None:
    panel.errorbar(
        [point.round + shift for point in points],
        [point.mean for point in points],
        [point.error for point in points] if any(point.error for point in points) else None,
        color=color,
        marker=marker,
        markersize=6,
        markerfacecolor="white" if guided else color,
        linestyle="--" if guided else "-",
        linewidth=1.2 if guided else 1.8,
        elinewidth=1.0,
        capsize=2,
    )


def _label(arm: str) -> str:
    """A name as plain text in short lines: matplotlib reads dollars as mathematics."""
    return "\n".join(textwrap.wrap(arm, 24)).replace("$", r"\$")
