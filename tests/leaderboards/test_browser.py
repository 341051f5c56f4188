"""The HTML in a real browser: it shows what was measured, fits a phone, asks nobody, and runs nothing smuggled in."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER, PATIENCE, visiting
from drawing_runs import HOSTILE, playing
from PIL import Image

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.leaderboards import leaderboard
from hermes.leaderboards.report import write_reports

playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=PATIENCE)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
WORTHS = {f"item {k}": (k / 10,) for k in range(8)}
LOST = """() => [...document.querySelectorAll("td.number")].filter((cell) => {
  const [mine, width] = [cell.getBoundingClientRect(), document.documentElement.clientWidth];
  if (!mine.height || cell.closest(".wide")) return false;
  const seen = document.createRange();
  seen.selectNodeContents(cell);
  const box = seen.getBoundingClientRect();
  window.scrollTo(0, window.scrollY + box.top - 200);
  const now = seen.getBoundingClientRect();
  const top = document.elementFromPoint(now.left + now.width / 2, now.top + 8);
  return now.left < 0 || now.right > width || !(cell === top || cell.contains(top));
}).map((cell) => cell.textContent)"""
"""The numbers that are off the screen or that something else lies on."""
FADED = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => parts(text).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return [...document.querySelectorAll("td, th, p, a, h2, summary, .more, dt")].filter((one) => {
    const [a, b] = [light(getComputedStyle(one).color), dark ? 0.006 : 1].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map((one) => one.textContent.slice(0, 40));
}"""
"""The texts whose contrast with the page is below 4.5."""


def browse(page: Path, *arguments: str) -> str:
    """Open a page headless; returns what the browser prints."""
    command = (str(BROWSER), *FLAGS, f"--user-data-dir={page.parent / 'profile'}", *arguments, page.as_uri())
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with an evaluation of hermes-tiny and a self-play, both with their reports."""
    root = tmp_path_factory.mktemp("browser") / "runs"
    tasks = ("geneval", "homologous-u", "homologous-g")
    found = evaluate(EvalSettings(model="hermes-tiny", tasks=tasks, limit=6, runs=root, label=HOSTILE, device="cpu"))
    last = dict(zip(WORTHS, reversed(WORTHS.values()), strict=True))
    for folder in (found["folder"], playing(root, [WORTHS, last])):
        write_reports(folder)
    return root


@pytest.fixture(scope="module")
def pages(runs: Path) -> dict[str, Path]:
    reports = {("play" if path.parent.name == "align-1" else "run"): path for path in runs.glob("*/*/report.html")}
    return {**reports, "index": runs / "index.html"}


@pytest.mark.parametrize("name", ["run", "play", "index"])
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_every_page_fits_and_nothing_hides_a_number(
    chrome: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    with visiting(chrome, pages[name].as_uri(), width, scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("td.number").count() > 0
        assert page.evaluate(LOST) == []
        assert page.evaluate(FADED) == []
        assert page.title() != "owned"
        broken = "() => [...document.images].filter((one) => !one.naturalWidth).length"
        assert page.evaluate(broken) == 0


def test_the_first_column_stays_while_a_wide_table_scrolls(chrome: Any, pages: dict[str, Path]) -> None:
    with visiting(chrome, pages["play"].as_uri(), 390) as page:
        table = page.locator("#rounds .wide")
        first, u = table.locator("tbody td").nth(0), table.locator("tbody td").nth(1)
        assert u.bounding_box()["x"] + u.bounding_box()["width"] <= 390
        before = first.bounding_box()["x"]
        table.evaluate("(one) => { one.scrollLeft = 10000; }")
        assert u.bounding_box()["x"] < before
        assert first.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_a_link_of_the_index_opens_what_is_folded(chrome: Any, pages: dict[str, Path]) -> None:
    with visiting(chrome, pages["run"].as_uri()) as page:
        shown = page.locator("#provenance table")
        playwright.expect(shown).to_be_hidden()
        page.get_by_role("link", name="Provenance").click()
        playwright.expect(shown).to_be_visible()
        playwright.expect(shown).to_contain_text("packages torch")


def test_the_index_of_runs_leads_to_the_reports(chrome: Any, pages: dict[str, Path]) -> None:
    with visiting(chrome, pages["index"].as_uri()) as page:
        assert page.get_by_role("link").count() == 2
        page.get_by_role("link", name=HOSTILE).click()
        playwright.expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)


def test_the_leaderboard_is_drawn(runs: Path) -> None:
    page = runs / "board.html"
    page.write_text(leaderboard([runs], "html"), encoding="utf-8")
    assert "<title>owned" not in browse(page, "--dump-dom")
    picture = runs / "board.png"
    browse(page, "--window-size=1200,600", f"--screenshot={picture}")
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 8
