"""Tables as LaTeX for booktabs, as wide as a column where they fit one and as a page where they do not."""

import math
import re
from collections.abc import Mapping, Sequence

from hermes.leaderboards.latex_text import FALLBACK, escape, needs_fallback
from hermes.leaderboards.tables import DASH, Cell, Column, Table, legend, spell

COLUMN, PAGE = 215.0, 390.0
"""Points that a table may have in a column of two and on a page, in the narrowest of the usual styles less a margin."""
WIDE, TIGHT = 12.0, 8.0  # Between two columns: LaTeX's own, and that of small tables.
LEAST = 50.0  # Points that a column of texts has at least where they are set in lines.
PACKAGES = {"booktabs": r"\toprule", "graphicx": r"\resizebox", "tabularx": r"\begin{tabularx}"}
"""What a table needs, and by what it shows."""
SYMBOLS = {"J": "$J$", "phi": r"$\phi$"}
BOLD, TINY, SMALL = 1.15, 0.6, 0.93
"""How much wider bold text is than plain text of 10 points, and small and tiny text."""


def table(content: Table, intervals: bool = False, label: str = "") -> str:
    """A ``table`` with the best in bold and the second underlined; sources are comments above it.

    A table that is too wide for a column is set in ``\\small``, then over both columns (``table*``), then with texts in
    several lines, and where that does not do shrunk.
    """
    plain, small = _widths(content, intervals, WIDE, 1.0), _widths(content, intervals, TIGHT, SMALL)
    is_small, is_wide, is_too_wide = sum(plain) > COLUMN, sum(small) > COLUMN, sum(small) > PAGE
    environment = "table*" if is_wide else "table"
    in_lines = _in_lines(content, small) if is_too_wide else {}
    body = _tabular(content, intervals, in_lines)
    if is_too_wide and not in_lines:
        body = [r"\resizebox{\linewidth}{!}{%", *body, "}"]
    notes = [rf"\par\smallskip{{\footnotesize {escape(' '.join(content.notes))}\par}}"] if content.notes else []
    lines = [
        *(f"% {escape(text)}" for text in content.sources),
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        rf"\caption{{{escape(' '.join(filter(None, (content.title + '.', content.caption, legend(content)))))}}}",
        rf"\label{{tab:{label or slug(content.title)}}}",
        *([rf"\small\setlength{{\tabcolsep}}{{{TIGHT / 2:g}pt}}"] if is_small else []),
        *body,
        *notes,
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def document(title: str, tables: list[Table], intervals: bool = False) -> str:
    """The tables one after another, to \\input; the title and the packages that they need are comments."""
    written = []
    labels: list[str] = []
    for content in tables:
        name = slug(content.title)
        labels.append(name)
        again = labels.count(name)
        written.append(table(content, intervals, name if again == 1 else f"{name}-{again}"))
    text = "\n".join(written)
    packages = [name for name, mark in PACKAGES.items() if mark in text]
    needs = "".join(rf"% \usepackage{{{name}}}" + "\n" for name in packages)
    return f"% {escape(title)}\n{needs}" + (f"{FALLBACK}\n" if needs_fallback(text) else "") + "\n" + text


def slug(title: str) -> str:
    """``paper-geneval-real-data``: letters and digits with dashes between them."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "table"


def _tabular(content: Table, intervals: bool, in_lines: Mapping[int, float]) -> list[str]:
    layout = "".join(
        rf">{{\hsize={in_lines[place]:.2f}\hsize\raggedright\arraybackslash}}X"
        if place in in_lines
        else "l"
        if column.is_text
        else "r"
        for place, column in enumerate(content.columns)
    )
    environment, width = ("tabularx", r"{\linewidth}") if in_lines else ("tabular", "")
    lines = [
        rf"\begin{{{environment}}}{width}{{{layout}}}",
        r"\toprule",
        " & ".join(_head(column) for column in content.columns) + r" \\",
        r"\midrule",
    ]
    for number, row in enumerate(content.rows):
        if number == content.rule:
            lines.append(r"\midrule")
        elif number and len(in_lines) > 1:
            lines.append(r"\addlinespace")
        cells = (_cell(cell, column, intervals) for cell, column in zip(row, content.columns, strict=True))
        lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule", rf"\end{{{environment}}}"]


def _head(column: Column) -> str:
    """A column's name; those that are symbols as papers print them."""
    return SYMBOLS.get(column.title) or escape(column.title).replace(" - ", " $-$ ")


def _cell(cell: Cell, column: Column, intervals: bool) -> str:
    """The number, marked; what follows it (the interval, ±, partial) tiny."""
    text = spell(cell, column, intervals)
    if cell.text:
        return escape(text)
    number, _, more = text.partition(" ")
    shown = "--" if number == DASH else _signed(number)
    shown = rf"\textbf{{{shown}}}" if cell.best else rf"\underline{{{shown}}}" if cell.second else shown
    return shown + (rf" {{\tiny {_signed(more)}}}" if more else "")


def _signed(text: str) -> str:
    """Numbers with a minus in place of a hyphen."""
    return re.sub(r"[-+](?=\w)", r"$\g<0>$", escape(text))


def _widths(content: Table, intervals: bool, between: float, factor: float) -> list[float]:
    """About how many points wide each column is, with the space beside it; rather too many."""
    widths = []
    for place, column in enumerate(content.columns):
        cells = [_cell_points(row[place], column, intervals, factor) for row in content.rows]
        widths.append(max([_points(column.title) * factor, *cells]) + between)
    return widths


def _in_lines(content: Table, widths: Sequence[float]) -> dict[int, float]:
    """The columns of texts that share what the others leave of a page, and how much of an equal share each gets.

    Longer texts get more of it. None where it is too little for a word.
    """
    found = [place for place, column in enumerate(content.columns) if column.is_text]

    def share() -> float:
        return (PAGE - sum(width for place, width in enumerate(widths) if place not in found)) / max(len(found), 1)

    while any(widths[place] <= share() for place in found):
        found = [place for place in found if widths[place] > share()]
    roots = {place: math.sqrt(widths[place]) for place in found}
    parts = {place: root * len(roots) / sum(roots.values()) for place, root in roots.items()}
    for place, part in parts.items():
        words = (_points(word) * SMALL for row in content.rows for word in row[place].text.split())
        if share() * part - TIGHT < max([LEAST, *words]):
            return {}
    return parts


def _cell_points(cell: Cell, column: Column, intervals: bool, factor: float) -> float:
    text = spell(cell, column, intervals)
    if cell.text:
        return _points(text) * factor
    number, _, more = text.partition(" ")
    return _points(number) * factor * (BOLD if cell.best else 1.0) + _points(f" {more}") * TINY


def _points(text: str) -> float:
    """About how wide the text is in points at a size of 10 points."""
    return sum(_char_points(char) for char in text)


def _char_points(char: str) -> float:
    if needs_fallback(spelled := escape(char)):
        return 5.4 * len(spelled.rpartition("{")[2])
    if not char.isascii():
        return 10.0
    return 7.5 if char.isupper() or char in "mw%" else 3.9 if char in " .,:;()[]/'ijl" else 5.4
