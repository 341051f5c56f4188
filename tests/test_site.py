"""`make docs` builds without a warning; its pages lead somewhere, know all commands and load nothing from elsewhere."""

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

from hermes.cli import app

ROOT = Path(__file__).parents[1]
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.places.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values and values.get("rel") != "canonical":
            self.loaded.append(values[LOADED[tag]])


def built(out: Path) -> dict[Path, Page]:
    """The pages of the site, built as `make docs` does."""
    (build,) = [line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "-m sphinx" in line]
    *options, folder = build.partition("-m sphinx ")[2].split()
    assert folder == "site"
    command = [sys.executable, "-m", "sphinx", *options, str(out / folder), "-d", str(out / "doctrees")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return {path: Page(path) for path in (out / folder).rglob("*.html")}


def lost(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """The links of a page that lead to no file, or to no place in a page."""
    for link in pages[path].links:
        to = urlsplit(link)
        target = (path.parent / unquote(to.path)).resolve() if to.path else path
        page = pages.get(target)
        if not to.netloc and (not target.exists() or (page and unquote(to.fragment) not in page.places)):
            yield link


def test_the_site(tmp_path: Path) -> None:
    """One test, since building takes seconds and each worker would build its own."""
    pytest.importorskip("sphinx")
    pages = built(tmp_path)
    for path, page in pages.items():
        assert [loaded for loaded in page.loaded if urlsplit(loaded).netloc] == [], path
        assert list(lost(path, pages)) == [], path
    assert all("url(http" not in style.read_text(encoding="utf-8") for style in (tmp_path / "site").rglob("*.css"))
    commands: Any = typer.main.get_command(app)
    names = {f"hermes-{name}" for name in commands.commands if name not in ("data", "judge")}
    names |= {"hermes-data-check", "hermes-judge-check"}
    assert names <= pages[tmp_path / "site" / "docs" / "api" / "commands.html"].places
