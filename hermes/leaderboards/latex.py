"""Tables as LaTeX, for the booktabs package."""

from hermes.harness.system.text import plain
from hermes.leaderboards.tables import Table, spell

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def escape(text: str) -> str:
    """Plain text in which no character is a command."""
    return "".join(SPECIAL.get(char, char) for char in plain(text))


def table(content: Table, intervals: bool = False) -> str:
    """A ``table`` environment with the best in bold, title, caption and notes as its caption."""
    caption = " ".join(text for text in (f"{content.title}.", content.caption, *content.notes) if text)
    layout = "".join("l" if column.is_text else "r" for column in content.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(escape(column.title) for column in content.columns) + r" \\",
        r"\midrule",
    ]
    for row in content.rows:
        cells = []
        for cell, column in zip(row, content.columns, strict=True):
            text = escape(spell(cell, column, intervals))
            cells.append(rf"\textbf{{{text}}}" if cell.best else text)
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def document(title: str, tables: list[Table], intervals: bool = False) -> str:
    """The tables one after another; the title is a comment."""
    return f"% {escape(title)}\n" + "\n".join(table(one, intervals) for one in tables)
