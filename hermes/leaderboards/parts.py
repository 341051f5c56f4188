"""What the pages of reports are made of: facts, a list of what is on the page, sections, and folded ones."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hermes.harness.records.types import Metric
from hermes.leaderboards import html, plots
from hermes.leaderboards.tables import DASH, Table, spelled

STYLE = (
    plots.STYLE
    + """
* { box-sizing: border-box; }
:root { --link: #0a58a6; }
@media (prefers-color-scheme: dark) { :root { --link: #7db8f0; } }
a { color: var(--link); }
h1, h3 { overflow-wrap: anywhere; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.25rem 0 .5rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: 0 0 1rem; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; margin: 0; padding: .5rem 0; }
nav li { max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav { border: solid var(--line); border-width: 1px 0; font-size: .9rem; }
[id] { scroll-margin-top: 3.5rem; }
details.fold { border-bottom: 1px solid var(--line); padding: .45rem 0; }
details.fold > summary { color: inherit; font-size: 1rem; }
details.fold > summary h2, details.fold > summary h3 { display: inline; font-size: 1rem; margin: 0 .5rem 0 0; }
summary small { color: var(--soft); }
table.bars { width: 100%; max-width: 56rem; table-layout: fixed; }
table.bars td { vertical-align: middle; }
table.bars th:first-child { width: 30%; }
table.bars th:last-child { width: 11rem; }
table.bars td:first-child { overflow-wrap: anywhere; }
table.bars td.drawing { padding: .2rem 1rem; white-space: normal; }
.scale { display: flex; justify-content: space-between; color: var(--soft); font-weight: 400; padding: 0 .5rem; }
@media (max-width: 40rem) {
  body { margin: 1.25rem auto; padding: 0 1rem; }
  td:first-child { max-width: 8.5rem; overflow-wrap: break-word; }
  th:first-child { max-width: 8.5rem; }
  table.bars th:first-child { width: 7.25rem; }
  table.bars th:last-child { width: 8.5rem; }
  table.bars td.drawing { padding: .2rem .4rem; }
  .scale { padding: 0; }
}
"""
)


class Section(NamedTuple):
    """A part of a page, as HTML; ``anchor`` is its place in addresses."""

    anchor: str
    title: str
    body: str
    folded: bool = False


def document(title: str, facts: Iterable[tuple[str, str]], sections: Sequence[Section], style: str = "") -> str:
    """A page that needs nothing else: what it is about, what is on it, and its sections, without the empty ones."""
    there = [section for section in sections if section.body]
    told = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts)
    links = "".join(f'<li><a href="#{one.anchor}">{html.escape(one.title)}</a></li>' for one in there)
    body = f'<dl class="facts">{told}</dl>\n<nav aria-label="On this page"><ul>{links}</ul></nav>\n'
    return html.page(title, body + "".join(map(_section, there)), STYLE + style)


def fold(heading: str, body: str, more: str = "", anchor: str = "") -> str:
    """A part that is closed until somebody wants it; a link to its anchor opens it. ``heading`` is HTML."""
    small = f"<small>{html.escape(more)}</small>" if more else ""
    place = f' id="{anchor}"' if anchor else ""
    return f'<details class="fold"><summary>{heading}{small}</summary>\n<div{place}>{body}</div></details>\n'


def folded_table(table: Table, anchor: str) -> Section:
    """A table that is closed until somebody wants it."""
    return Section(anchor, table.title, html.table(table, intervals=True, heading=False) if table.rows else "", True)


def bars(columns: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of a name, a drawing and a number, all HTML already, whose three columns fit a phone."""
    head = "".join(
        f'<th class="{kind}">{text}</th>' for kind, text in zip(("text", "drawing", "number"), columns, strict=True)
    )
    body = "".join(
        f'<tr><td class="text">{name}</td><td class="drawing">{drawing}</td><td class="number">{value}</td></tr>\n'
        for name, drawing, value in rows
    )
    return f'<table class="bars">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n'


def number(metric: Metric, digits: int, sign: bool = False) -> str:
    """A number over its interval; a dash where it could not be computed."""
    value, _, interval = spelled(metric, digits, sign).partition(" ")
    return html.escape(value) + small(interval) if metric.value == metric.value else DASH


def small(text: str) -> str:
    """A line in small letters below a name or a number; nothing for nothing."""
    return f'<span class="more">{html.escape(text)}</span>' if text else ""


def scale(low: float, high: float, digits: str = ".4g") -> str:
    """The two ends of a scale."""
    return f'<span class="scale"><span>{low:{digits}}</span><span>{high:{digits}}</span></span>'


def notes(lines: Iterable[str]) -> str:
    """A paragraph for each."""
    return "".join(f"<p>{html.escape(line)}</p>\n" for line in lines if line)


def _section(one: Section) -> str:
    heading = f"<h2>{html.escape(one.title)}</h2>"
    if one.folded:
        return fold(heading, one.body, anchor=one.anchor)
    return f'<section id="{one.anchor}">\n{heading}\n{one.body}</section>\n'
