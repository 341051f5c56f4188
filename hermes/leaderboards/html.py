"""Tables as one HTML page that needs nothing else. All text is escaped."""

import html

from hermes.harness.system.text import plain
from hermes.leaderboards.tables import Cell, Column, Table, has_number, legend, spell

STYLE = """
:root { color-scheme: light dark; --line: #d5d8dc; --soft: #6b7280; --best: #0b6e4f; --shade: #f6f7f8; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a3f45; --soft: #9aa2ab; --best: #5fd3a6; --shade: #1d2024; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0 0 1.5rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; }
tr.rule > td { border-top: 2px solid var(--line); }
tbody tr:hover > * { background: var(--shade); }
td.best { font-weight: 700; }
.ranked td.best { color: var(--best); }
td.second { text-decoration: underline; text-underline-offset: .2em; }
td.empty, .more { color: var(--soft); }
.more { display: block; font-size: .85em; font-weight: 400; }
td.text { white-space: normal; min-width: 4rem; }
summary { color: var(--soft); font-size: .9rem; cursor: pointer; }
p { color: var(--soft); font-size: .9rem; margin: .5rem 0; max-width: 62rem; }
"""


def escape(text: str) -> str:
    """Plain text in which no character is markup, in an attribute neither."""
    return html.escape(plain(text, lines=True))


def table(content: Table, intervals: bool = False, heading: bool = True) -> str:
    """A heading, the table and its notes. Interval and source of a number are in its tooltip."""
    head = "".join(f'<th class="{_kind(column)}">{escape(column.title)}</th>' for column in content.columns)
    body = "".join(
        ('<tr class="rule">' if number == content.rule else "<tr>")
        + "".join(_cell(cell, column, intervals) for cell, column in zip(row, content.columns, strict=True))
        + "</tr>\n"
        for number, row in enumerate(content.rows)
    )
    shown = (content.caption, legend(content), *content.notes)
    notes = "".join(f"<p>{escape(text)}</p>\n" for text in shown if text)
    if content.sources:
        sources = "".join(f"<p>{escape(text)}</p>\n" for text in content.sources)
        notes += f"<details>\n<summary>Where the numbers come from</summary>\n{sources}</details>\n"
    title = f"<h2>{escape(content.title)}</h2>\n" if heading else ""
    ranked = ' class="ranked"' if content.ranked else ""
    return (
        f"<section>\n{title}"
        f'<div class="wide"><table{ranked}>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>\n{notes}</section>\n"
    )


def document(title: str, tables: list[Table], intervals: bool = False, style: str = "") -> str:
    """The whole page; ``style`` as for `page`."""
    return page(title, "".join(table(one, intervals) for one in tables), style)


def page(title: str, body: str, style: str = "") -> str:
    """A page with this body, which is HTML already; ``style`` comes on top of that of all pages."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}</body>\n</html>\n"
    )


def _kind(column: Column) -> str:
    return "text" if column.is_text else "number"


def _cell(cell: Cell, column: Column, intervals: bool) -> str:
    kinds = (
        [_kind(column)]
        + ["best"] * cell.best
        + ["second"] * cell.second
        + ["empty"] * (not cell.text and not has_number(cell))
    )
    number, _, more = (cell.text, "", "") if cell.text else spell(cell, column, intervals).partition(" ")
    interval = (
        f"95 % interval {cell.low:.4g} to {cell.high:.4g}" if cell.low is not None and cell.high is not None else ""
    )
    hint = "; ".join(part for part in (cell.source, interval) if part)
    attribute = f' title="{escape(hint)}"' if hint else ""
    small = f' <span class="more">{escape(more)}</span>' if more else ""
    return f'<td class="{" ".join(kinds)}"{attribute}>{escape(number)}{small}</td>'
