"""Drawings within a page, as inline SVG: the gap as two dots on a line, a score as a bar, and curves over rounds."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from hermes.harness.records.types import Metric
from hermes.leaderboards.html import escape
from hermes.leaderboards.tables import spelled

STYLE = """
:root { --u: #0072b2; --g: #c24e00; --gap: #444b54; --track: #e7e9ec; }
@media (prefers-color-scheme: dark) { :root { --u: #56b4e9; --g: #f2945a; --gap: #b8c0c9; --track: #2b3036; } }
.plot { display: block; width: 100%; overflow: visible; }
.plot.line, .plot.bar { height: 1.5rem; }
.plot .ground { stroke: var(--line); }
.plot .between { stroke: var(--soft); stroke-width: 3; opacity: .45; }
.plot .whisker { stroke: CanvasText; stroke-width: 1.25; }
.plot .track { fill: var(--track); }
.plot .fill { fill: var(--u); opacity: .75; }
.plot .fill.generation { fill: var(--g); }
.plot .chance { stroke: CanvasText; stroke-width: 1.5; stroke-dasharray: 2 2; }
.u { --ink: var(--u); }
.g { --ink: var(--g); }
.gap { --ink: var(--gap); }
.point { fill: var(--ink); stroke: Canvas; stroke-width: 1; }
.key { display: inline-block; width: 14px; height: 14px; vertical-align: -.12em; margin: 0 .3rem 0 .8rem; }
.curve { fill: none; stroke: var(--ink); stroke-width: 1.75; stroke-linejoin: round; }
.curve.g { stroke-dasharray: 5 3; }
.interval { fill: none; stroke: var(--ink); stroke-width: 1.25; opacity: .75; }
.panels { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }
.panels figure { margin: 0; flex: 1 1 17rem; max-width: 30rem; width: auto; }
.panels figcaption { font-weight: 600; margin: 0 0 .4rem; }
.panels figcaption span { font-weight: 400; color: var(--soft); }
.panels text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.panels .end { text-anchor: end; }
.panels .middle { text-anchor: middle; }
.panels text.last { fill: var(--ink); font-weight: 600; }
.panels .grid { stroke: var(--line); opacity: .7; }
.panels .zero { stroke: CanvasText; stroke-width: 1.25; }
"""
SHAPES = {
    "u": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    "g": "M0 -6L6 0L0 6L-6 0z",
    "gap": "M-4.5 -4.5h9v9h-9z",
}
"""U is a dot, G a diamond, the gap a square: told apart without colours, too."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 230, 46, 72, 14, 30
APART = 14  # Units between the labels of two lines.
LEAST = 0.01  # What a panel spans at least; numbers that are alike may differ in their last bits.


class Gap(NamedTuple):
    """Both sides and their difference."""

    u: Metric
    g: Metric
    gap: Metric


class Series(NamedTuple):
    """One line of a panel: "u", "g" or "gap", what it is called, and its value in every round."""

    side: str
    name: str
    values: Sequence[Metric]


def gap_range(gaps: Iterable[Gap]) -> tuple[float, float]:
    """From a tenth to 1 or more, so that all gaps of a page are drawn on one scale."""
    ends = [end for gap in gaps for end in (gap.u.value, gap.g.value, gap.u.value - _high(gap.gap)) if end == end]
    return min([0.9, *(math.floor(end * 10) / 10 for end in ends)]), max([1.0, *ends])


def gap_line(gap: Gap, scale: tuple[float, float]) -> str:
    """U and G on a line; the whisker is the gap's interval, drawn from U."""
    low, high = scale
    u, g, amount = gap
    words = f"U {spelled(u, 3)}, G {spelled(g, 3)}, gap {spelled(gap.gap, 3, sign=True)}"
    if u.value != u.value or g.value != g.value:
        return ""

    def at(value: float) -> str:
        return _percent((value - low) / (high - low))

    drawn = _line("ground", "0", "100%") + _line("between", at(g.value), at(u.value))
    if amount.low is not None and amount.high is not None:
        drawn += _whisker(at(u.value - amount.high), at(u.value - amount.low))
    return _svg("line", words, drawn + _point("g", at(g.value), "50%") + _point("u", at(u.value), "50%"))


def bar(metric: Metric, top: float, ability: str, chance: float = 0.0) -> str:
    """A bar from 0 to ``top`` with its interval, and a dotted line at chance."""
    if metric.value != metric.value or top <= 0:
        return ""
    drawn = '<rect class="track" width="100%" y="25%" height="50%"/>'
    drawn += f'<rect class="fill {ability}" width="{_percent(metric.value / top)}" y="25%" height="50%"/>'
    if chance > 0:
        drawn += _line("chance", at := _percent(chance / top), at, "10%", "90%")
    if metric.low is not None and metric.high is not None:
        drawn += _whisker(_percent(metric.low / top), _percent(metric.high / top))
    return _svg("bar", "", drawn)


def key(side: str) -> str:
    """The sign of a side within a text."""
    return f'<svg class="key" aria-hidden="true">{_point(side, "7", "7")}</svg>'


def panel(title: str, rounds: Sequence[int], series: Sequence[Series], zero: bool = False) -> str:
    """One panel of curves over rounds, with 95 % intervals; ``zero`` where 0 is of interest."""
    values = [end for one in series for metric in one.values for end in _ends(metric)]
    keys = "".join(f"<span>{key(one.side)}{escape(one.name)}</span>" for one in series)
    caption = f"<figcaption>{escape(title)}{keys}</figcaption>"
    if not values:
        return f"<figure>{caption}<p>Nothing was measured.</p></figure>\n"
    values += [0.0] * zero
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    right = WIDTH - RIGHT
    spread = max(len(rounds) - 1, 1)
    xs = [LEFT + (right - LEFT) * place / spread for place in range(len(rounds))]

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    places = max(1, math.ceil(-math.log10(ticks[1] - ticks[0]) - 1e-9))
    drawn = ""
    for tick in ticks:
        kind = "zero" if zero and tick == 0 else "grid"
        drawn += f'<path class="{kind}" d="M{LEFT - 8} {y(tick):.1f}H{right + 8}"/>'
        drawn += f'<text class="end" x="{LEFT - 14}" y="{y(tick) + 4:.1f}">{tick:.{places}f}</text>'
    for x, number in zip(xs, rounds, strict=True):
        drawn += f'<text class="middle" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}">{number or "base"}</text>'
    last = [next((m.value for m in reversed(one.values) if m.value == m.value), low) for one in series]
    for one, end, height in zip(series, last, _heights([y(value) for value in last]), strict=True):
        drawn += _curve(one, rounds, xs, y)
        drawn += f'<text class="last {one.side}" x="{right + 12}" y="{height + 4:.1f}">{end:.3f}</text>'
    words = "; ".join(f"{one.name}: {', '.join(spelled(m, 3) for m in one.values)}" for one in series)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f"<figure>{caption}{_svg('', f'{title} over rounds. {words}', drawn, box)}</figure>\n"


def _curve(one: Series, rounds: Sequence[int], xs: Sequence[float], y: Callable[[float], float]) -> str:
    there = [(x, number, m) for x, number, m in zip(xs, rounds, one.values, strict=True) if m.value == m.value]
    points = " ".join(f"{x:.1f},{y(metric.value):.1f}" for x, _, metric in there)
    drawn = f'<polyline class="curve {one.side}" points="{points}"/>'
    for x, number, metric in there:
        if metric.low is not None and metric.high is not None:
            low, high = (f"{x - 4:.1f} {y(end):.1f}h8" for end in (metric.low, metric.high))
            whole = f"M{x:.1f} {y(metric.low):.1f}V{y(metric.high):.1f}M{low}M{high}"
            drawn += f'<path class="interval {one.side}" d="{whole}"/>'
        words = f"{one.name}, round {number}: {spelled(metric, 3)}"
        drawn += _point(one.side, f"{x:.1f}", f"{y(metric.value):.1f}", words)
    return drawn


def _svg(kind: str, words: str, drawn: str, more: str = "") -> str:
    """The whole drawing; ``words`` say the same to those who cannot see it."""
    said = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
    return f'<svg class="plot {kind}" {said} {more}>{drawn}</svg>'


def _point(side: str, x: str, y: str, words: str = "") -> str:
    title = f"<title>{escape(words)}</title>" if words else ""
    path = f'<path class="point {side}" d="{SHAPES[side]}">{title}</path>'
    return f'<svg x="{x}" y="{y}" overflow="visible">{path}</svg>'


def _line(kind: str, x1: str, x2: str, y1: str = "50%", y2: str = "50%") -> str:
    return f'<line class="{kind}" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>'


def _whisker(low: str, high: str) -> str:
    return _line("whisker", low, high) + "".join(_line("whisker", end, end, "30%", "70%") for end in (low, high))


def _percent(part: float) -> str:
    return f"{100 * min(max(part, 0.0), 1.0):.3f}%"


def _ends(metric: Metric) -> list[float]:
    return [end for end in (metric.value, metric.low, metric.high) if end is not None and end == end]


def _high(metric: Metric) -> float:
    return metric.value if metric.high is None else metric.high


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers that hold the range."""
    rough = max(high - low, LEAST) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 10) for place in range(first, max(last, first + 1) + 1)]


def _heights(heights: Sequence[float]) -> list[float]:
    """Where labels at these heights do not cover each other."""
    found = list(heights)
    order = sorted(range(len(found)), key=found.__getitem__)
    for above, below in pairwise(order):
        found[below] = max(found[below], found[above] + APART)
    return found
