"""Tables as Markdown."""

import re

from hermes.harness.system.text import plain
from hermes.leaderboards.tables import Table, legend, spell

MARKUP = re.compile(r"[\\|*`\[\]<>~&]|(?<!\w)_|_(?!\w)|^[-+#](?=[\s#]|$)|^\d{1,9}[.)](?=\s|$)")


def escape(text: str) -> str:
    """Plain text inside a table cell or a paragraph: no character opens markup, a cell or a line."""
    return MARKUP.sub(lambda found: f"{found.group()[:-1]}\\{found.group()[-1]}", plain(text))


def table(content: Table, intervals: bool = False) -> str:
    """A heading, the table with the best in bold, its caption, its notes and its sources."""
    lines = [f"### {escape(content.title)}", ""]
    lines.append(_row([escape(column.title) for column in content.columns]))
    lines.append(_row([":--" if column.is_text else "--:" for column in content.columns]))
    for row in content.rows:
        texts = [spell(cell, column, intervals) for cell, column in zip(row, content.columns, strict=True)]
        lines.append(_row([_mark(text, cell.best, bool(cell.text)) for text, cell in zip(texts, row, strict=True)]))
    for text in (content.caption, legend(content, underlined=False), *content.notes, " ".join(content.sources)):
        if text:
            lines += ["", escape(text)]
    return "\n".join(lines) + "\n"


def document(title: str, tables: list[Table], intervals: bool = False) -> str:
    """A page of tables under one title."""
    return f"# {escape(title)}\n\n" + "\n".join(table(one, intervals) for one in tables)


def _mark(text: str, best: bool, is_text: bool) -> str:
    text = escape(text) if is_text else text
    return f"**{text}**" if best else text


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
