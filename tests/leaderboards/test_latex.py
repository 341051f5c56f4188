"""LaTeX tables in a real TeX: every golden file fits a column and a page, and any label compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.leaderboards import latex
from hermes.leaderboards.latex_text import FALLBACK, escape
from hermes.leaderboards.tables import Cell, Column, Table, text_column

PDFTEX, XETEX = shutil.which("pdflatex"), shutil.which("xelatex")
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.tex"))
# The columns of two in the narrowest of the usual styles, and the page of those with one column.
STYLES = {
    "two columns": r"\documentclass[twocolumn]{article}\usepackage[textwidth=455pt,columnsep=17pt]{geometry}",
    "one column": r"\documentclass{article}\usepackage[textwidth=397pt]{geometry}",
}
PACKAGES = r"\usepackage{booktabs,graphicx,tabularx}\extrafloats{200}"
WRONG = re.compile(r"^!.*|.*Overfull.*|.*undefined.*|.*multiply.*|.*Float too large.*", re.MULTILINE)
RANGES = ((0x20, 0x250), (0x370, 0x400), (0x2010, 0x2060), (0x2190, 0x2200), (0x2200, 0x2300), (0x2600, 0x2700))
LABELS = (
    "β-π ★ 模型",
    "a_b^c~d",
    r"\textbf{x} \input{/etc/passwd}",
    "100 % & #1 $x$ {y}",
    "e\u0301 ṩ ǖ Å ﬁ ½ x²",
    "🙂 עברית",
)


@pytest.mark.skipif(PDFTEX is None, reason="no pdflatex on the PATH")
@pytest.mark.parametrize("style", STYLES)
def test_every_golden_file_fits(tmp_path: Path, style: str) -> None:
    inputs = "".join(rf"\input{{{path}}}\clearpage" + "\n" for path in _distinct(tmp_path))
    assert wrong(tmp_path, str(PDFTEX), STYLES[style], inputs) == []


@pytest.mark.skipif(PDFTEX is None, reason="no pdflatex on the PATH")
def test_any_label_compiles(tmp_path: Path) -> None:
    chars = "".join(chr(code) for low, high in RANGES for code in range(low, high) if chr(code).isprintable())
    labels = [*LABELS, *(chars[start : start + 12] for start in range(0, len(chars), 12))]
    page = "".join(f"{escape(label)}\n\n" for label in labels)
    assert wrong(tmp_path, str(PDFTEX), STYLES["one column"], f"{FALLBACK}\\raggedright\n{page}") == []
    (tmp_path / "table.tex").write_text(latex.document("x", [_table(label) for label in LABELS]), encoding="utf-8")
    assert wrong(tmp_path, str(PDFTEX), STYLES["one column"], r"\input{table}") == []


@pytest.mark.skipif(XETEX is None, reason="no xelatex on the PATH")
def test_an_engine_with_unicode_shows_the_character_itself(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(latex.document("x", [_table("模")]), encoding="utf-8")
    assert wrong(tmp_path, str(XETEX), r"\documentclass{article}\tracinglostchars=0", r"\input{table}") == []
    assert "U+6A21" not in (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")


@given(st.text(max_size=20))
def test_only_the_fallback_holds_other_than_ascii(text: str) -> None:
    assert re.sub(r"\\otherglyph\{.\}", "", escape(text)).isascii()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("β", r"$\beta$"),
        ("Π", r"$\Pi$"),
        ("Α", "A"),
        ("★", r"$\star$"),
        ("模", r"\otherglyph{模}{U+6A21}"),
        ("é", r"\'{e}"),
        ("ǖ", r"\={\"{u}}"),
        ("x²", "x$^{2}$"),
        ("H₂", "H$_{2}$"),
        ("½", r"\otherglyph{½}{U+00BD}"),
        ("a_b", r"a\_b"),
    ],
)
def test_how_characters_are_spelled(text: str, spelled: str) -> None:
    assert escape(text) == spelled


def test_a_table_is_as_wide_as_it_must_be() -> None:
    narrow, wide, widest = (_numbers(count) for count in (3, 8, 20))
    assert r"\begin{table}" in narrow
    assert r"\small" not in narrow
    assert r"\begin{table*}" in wide
    assert r"\resizebox" not in wide
    assert r"\resizebox{\linewidth}{!}{%" in widest
    assert r"\usepackage{graphicx}" in widest


def test_long_texts_are_set_in_lines_and_not_shrunk() -> None:
    def made(word: str) -> str:
        texts = ("q1", f"{word} " * 20, f"{word} " * 80)
        columns = tuple(map(text_column, ("Sample", "Prompt", "Answer")))
        return latex.document("x", [Table("x", columns, (tuple(Cell(text=text) for text in texts),))])

    share = r">{\hsize=%s\hsize\raggedright\arraybackslash}X"
    assert rf"\begin{{tabularx}}{{\linewidth}}{{l{share % '0.67'}{share % '1.33'}}}" in made("word")
    assert r"\usepackage{tabularx}" in made("word")
    assert r"\resizebox" not in made("word")
    assert r"\begin{tabular}{lll}" in made("unbreakable" * 4)
    assert r"\resizebox{\linewidth}{!}{%" in made("unbreakable" * 4)


def test_labels_of_tables_are_told_apart() -> None:
    text = latex.document("x", [_table("a"), _table("b")])
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:labels", "tab:labels-2"]


def wrong(folder: Path, engine: str, style: str, body: str) -> list[str]:
    """What the log of a paper with this body complains of."""
    paper = f"{style}{PACKAGES}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(paper, encoding="utf-8")
    command = (engine, "-interaction=nonstopmode", "-no-shell-escape", "paper.tex")
    subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert "Output written" in log, log[-2000:]
    return WRONG.findall(log)


def _distinct(folder: Path) -> list[Path]:
    """The golden files, each with labels of its own."""
    found = []
    for path in GOLDEN:
        text = path.read_text(encoding="utf-8").replace(r"\label{tab:", rf"\label{{tab:{path.stem}-")
        found.append(folder / path.name)
        found[-1].write_text(text, encoding="utf-8")
    return found


def _table(label: str) -> Table:
    columns = (text_column("Model"), Column(label, 1))
    return Table("Labels", columns, ((Cell(text=label), Cell(1.0, best=True)),), label, (label,), (label,))


def _numbers(count: int) -> str:
    columns = (text_column("Model"), *(Column("POPE") for _ in range(count)))
    return latex.document("x", [Table("x", columns, ((Cell(text="tiny"), *[Cell(80.0)] * count),))])
