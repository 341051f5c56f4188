"""The code of the pages: blocks, the commands in them, and whether those are run or only parsed."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "hermes/harness/models/*/weights/*.md")
    for path in ROOT.glob(pattern)
)
PARSED_ONLY = re.compile(r"<!-- parsed only: \w[\w ,]+ -->")
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")
FILE = re.compile(r"<!-- (examples/\S+) -->")
SLURM = "configs/slurm/hermes.sbatch"
SHELLS = ("bash", "console")
LANGUAGES = {*SHELLS, "", "text", "json", "python", "toml", "{toctree}", "{eval-rst}", "{hermes-help}", "bibtex"}


@dataclass(frozen=True)
class Block:
    """A block: its language, "" where it has none, its text, and the comment that stands right before it."""

    language: str
    text: str
    note: str

    @property
    def parsed_only(self) -> bool:
        return bool(PARSED_ONLY.fullmatch(self.note))

    def lines(self) -> list[str]:
        """The command lines of a shell block, continued ones joined."""
        shell = self.language in SHELLS or (not self.language and self.text.startswith("hermes "))
        lines = re.sub(r" *\\\n *", " ", self.text).splitlines() if shell else []
        return [line for line in lines if shlex.split(line, comments=True)]


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, fenced and indented, in order."""
    found, note = [], ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            found.append(Block(token.info, token.content, note))
        note = token.content.strip() if token.type == "html_block" else ""
    return found


def inline(page: Path) -> list[str]:
    """What stands between backticks in the text of a page, tables included."""
    tokens = MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))
    return [child.content for token in tokens for child in token.children or () if child.type == "code_inline"]


def run_here(page: Path) -> list[str]:
    """The lines of a page that are run: those of `hermes`, and what writes files for them."""
    lines = [line for block in blocks(page) if not block.parsed_only for line in block.lines()]
    words = {line: shlex.join(shlex.split(line, comments=True)) for line in lines}
    return [line for line in lines if line.startswith(("hermes ", "printf ")) and not PLACEHOLDER.search(words[line])]


def hermes(line: str) -> list[str] | None:
    """The arguments of `hermes` in a command line, also behind what launches it; None for other commands."""
    words = shlex.split(re.sub(r"^(\w+=\S+ )+", "", line), comments=True)
    if words[0] in ("accelerate", "torchrun"):
        words = words[words.index("-m") + 1 :]
    if words[0] == "sbatch" and SLURM in words:
        words = ["hermes", *words[words.index(SLURM) + 1 :]]
    return words[1:] if words[0] == "hermes" else None
