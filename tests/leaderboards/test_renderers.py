"""No text of a model or a user becomes markup, in any format."""

import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.system.text import UNSAFE
from hermes.leaderboards import html, latex, markdown
from hermes.leaderboards.tables import Cell, Column, Table, spell, text_column

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "div", "p", "span"),
    *("details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
NASTY = st.text() | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '" onmouseover="x',
        "</td></table>",
        "&lt;b&gt;",
        "a|b\n| c",
        "\\",
        "--\n# x",
        "$x$ %",
    ]
)


class Collected(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = False
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.cells: list[str] = []
        self.hints: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "td":
            self.open = True
            self.cells.append("")
            self.hints.append(dict(attrs).get("title"))

    def handle_data(self, data: str) -> None:
        if self.open:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag != "td"


def table_of(text: str) -> Table:
    columns = (text_column(text), Column(text))
    return Table(text, columns, ((Cell(text=text), Cell(1.0, source=text)),), text, (text,), (text,))


@given(NASTY)
def test_html_holds_its_own_tags_alone(text: str) -> None:
    parsed = Collected()
    parsed.feed(html.document(text, [table_of(text)]))
    parsed.close()
    assert set(parsed.tags) <= TAGS
    assert set(parsed.attributes) <= {"lang", "charset", "name", "content", "class", "title"}
    assert parsed.tags.count("td") == 2


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp")), min_size=1))
def test_html_shows_text_and_source_as_they_are(text: str) -> None:
    parsed = Collected()
    parsed.feed(html.table(table_of(text)))
    parsed.close()
    assert parsed.cells == [text, "1.0"]
    assert parsed.hints[1] == text


def test_bold_differences_of_a_page_are_not_coloured_as_the_best_are() -> None:
    beyond = Table("", (Column("U"),), ((Cell(-0.1, best=True),),), "")
    assert 'class="ranked"' not in html.table(beyond)
    assert 'class="ranked"' in html.table(replace(beyond, ranked=True))
    assert ".ranked td.best { color" in html.document("", [beyond])


@given(NASTY)
def test_markdown_keeps_its_rows(text: str) -> None:
    lines = markdown.table(table_of(text)).splitlines()
    found = [line for line in lines if line.startswith("|")]
    assert len(found) == 3
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in found)
    assert not any("<" in re.sub(r"\\.", "", line) for line in lines)


@given(NASTY)
def test_latex_keeps_its_rows(text: str) -> None:
    lines = latex.table(table_of(text)).split("\n")
    (row,) = [line for line in lines if line.endswith(r"1.0 \\")]
    assert len(re.findall(r"(?<!\\)&", row)) == 1
    assert not re.search(r"(?<!\\)[%#]", row)
    assert len(re.findall(r"(?<!\\)\$", row)) % 2 == 0


@pytest.mark.parametrize("format", [html, latex, markdown], ids=lambda format: format.__name__.rpartition(".")[2])
@given(st.text(st.characters(categories=UNSAFE), min_size=1))
def test_nothing_that_a_terminal_obeys_passes(format: Any, text: str) -> None:
    written = format.document(text, [table_of(f"a{text}b")])
    assert not {char for char in written if char not in "\n\t" and unicodedata.category(char) in UNSAFE}


def test_numbers_are_spelled_with_what_is_known() -> None:
    column = Column("x", 2)
    assert spell(Cell(1.5, low=1.0, high=2.0), column) == "1.50"
    assert spell(Cell(1.5, low=1.0, high=2.0), column, True) == "1.50 [1.00, 2.00]"
    assert spell(Cell(1.5, low=1.0, high=2.0), Column("x", 1, signed=True)) == "+1.5 [+1.0, +2.0]"
    assert spell(Cell(1.5, spread=0.125), column) == "1.50 ± 0.12"
    assert spell(Cell(1.5, digits=0), column) == "2"
    assert spell(Cell(), column) == spell(Cell(float("nan")), column) == "-"
