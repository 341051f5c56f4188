"""Tables on a terminal: as many columns side by side as its width holds, the others below."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from hermes.harness.system.text import plain
from hermes.leaderboards.tables import Cell, Column, Table, legend, spell

LEAN: dict[str, Any] = {"box": box.HORIZONTALS, "padding": (0, 0, 0, 1), "pad_edge": False, "show_edge": False}
BETWEEN = 2  # What stands between two columns.
LABEL = 0.4  # The share of the width that the labels of rows may take where not all columns fit beside them.
BROKEN = 10  # So much of a heading stays on one line.


def document(tables: Sequence[Table], intervals: bool, width: int) -> Group:
    """The tables one after another, each with its notes."""
    parts: list[RenderableType] = []
    for number, content in enumerate(tables):
        parts += [Text("")] * bool(number)
        parts += shown(content, intervals, width)
    return Group(*parts)


def shown(content: Table, intervals: bool, width: int) -> list[RenderableType]:
    """The table in blocks of columns, each with the labels of the rows, and what must be known below."""
    texts = [
        [_text(cell, column, intervals) for cell, column in zip(row, content.columns, strict=True)]
        for row in content.rows
    ]
    if all(column.is_text for column in content.columns):
        return [Text(content.title, style="bold"), _wrapped(content, texts), *_below(content)]
    widths = [_width(column, [row[place] for row in texts]) for place, column in enumerate(content.columns)]
    if sum(widths) + BETWEEN * (len(widths) - 1) > width:
        most = int(LABEL * width / content.labels)
        widths = [min(one, most if place < content.labels else width // 2) for place, one in enumerate(widths)]
    parts: list[RenderableType] = [Text(content.title, style="bold")]
    for number, block in enumerate(_blocks(widths, content.labels, width)):
        parts += [Text("")] * bool(number)
        parts.append(_block(content, texts, widths, block))
    return [*parts, *_below(content)]


def _below(content: Table) -> list[RenderableType]:
    lines = (content.caption, legend(content), *content.notes, " ".join(content.sources))
    return [Text(line, style="dim") for line in lines if line]


def _wrapped(content: Table, texts: Sequence[Sequence[Text]]) -> RichTable:
    """Texts beside each other, each broken over as many lines as it needs."""
    table = RichTable(**LEAN)
    for column in content.columns:
        table.add_column(Text(column.title), overflow="fold")
    for row in texts:
        table.add_row(*row)
    return table


def _blocks(widths: Sequence[int], labels: int, width: int) -> list[list[int]]:
    """The places of the columns of each block: as many as fit, each block with the labels."""
    head = list(range(labels))
    start = sum(widths[:labels]) + BETWEEN * (labels - 1)
    blocks: list[list[int]] = []
    room = 0
    for place in range(labels, len(widths)):
        if not blocks or room < widths[place] + BETWEEN:
            blocks.append(list(head))
            room = width - start
        blocks[-1].append(place)
        room -= widths[place] + BETWEEN
    return blocks or [head]


def _block(content: Table, texts: Sequence[Sequence[Text]], widths: Sequence[int], block: Sequence[int]) -> RichTable:
    table = RichTable(**LEAN)
    for place in block:
        column = content.columns[place]
        table.add_column(
            Text(_heading(column)),
            justify="left" if column.is_text else "right",
            width=widths[place],
            overflow="fold",
        )
    for number, row in enumerate(texts):
        table.add_row(*(row[place] for place in block), end_section=number + 1 == content.rule)
    return table


def _text(cell: Cell, column: Column, intervals: bool) -> Text:
    """What follows the number stands below it."""
    if cell.text:
        return Text(cell.text)
    number, _, more = spell(cell, column, intervals).partition(" ")
    text = Text(number, style="bold" if cell.best else "underline" if cell.second else "")
    return text.append(f"\n{more}", style="not bold not underline dim") if more else text


def _heading(column: Column) -> str:
    """What stands in brackets has a line of its own."""
    return plain(column.title).replace(" (", "\n(")


def _width(column: Column, texts: Sequence[Text]) -> int:
    """As wide as the widest cell and the longest word of the heading."""
    cells = [cell_len(plain(line)) for text in texts for line in text.plain.split("\n")]
    words = [cell_len(word) for word in column.title.split()]
    lines = [min(cell_len(line), BROKEN) for line in _heading(column).split("\n")]
    return max((*cells, *words, *lines), default=0)
