"""Draw docs/viewer.png and docs/rounds.png: `hermes view` on the wrong answers of a run, and on a self-play's items.

    python docs/screenshots.py          # of runs/, as `make demo` leaves it; needs chromium or google-chrome
    python docs/screenshots.py FOLDER   # of the runs in another folder

Not picked by hand: the first wrong drawing of GenEval in the newest run, and the item whose G has risen most.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from hermes.viewer.site import Site
from hermes.viewer.static import write_site

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 720}


def route_of_wrong(site: Site) -> str:
    """The samples of GenEval that are wrong, the first one open."""
    runs = [run for run in site.payload("index")["runs"] if run["round"] is None]
    found = [run for run in runs if any(task["key"] == "geneval" for task in run["tasks"])]
    if not found:
        sys.exit("no run of GenEval here; run `hermes eval` first")
    key = max(found, key=lambda run: run["started"])["key"]
    right = site.payload(f"runs/{key}/geneval/rows")["right"]
    return f"#/run/{key}/geneval/{right.index(0)}?is=wrong"


def route_of_rise(site: Site) -> str:
    """The items of the newest self-play, those that rose most first, the first one open."""
    plays: list[dict[str, Any]] = [play for play in site.payload("index")["plays"] if play["items"]]
    if not plays:
        sys.exit("no self-play here; run `hermes align` first")
    key = plays[-1]["key"]
    rows = site.payload(f"plays/{key}/items")["g"]
    rises = [rounds[-1] - rounds[0] for rounds in rows]
    return f"#/play/{key}/items/{rises.index(max(rises))}?sort=rose"


def shoot(page: Page, address: str, to: Path) -> None:
    """One picture, when everything on the page is there."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("article.sample img")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    page.screenshot(path=to)
    print(to)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"))
    runs = parser.parse_args().runs
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("there is no chromium or google-chrome on the PATH; install one")
    site = Site([runs], live=False)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        write_site(site, Path(folder))
        chrome = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page(viewport=SIZE)
        start = (Path(folder) / "index.html").as_uri()
        shoot(page, start + route_of_wrong(site), HERE / "viewer.png")
        shoot(page, start + route_of_rise(site), HERE / "rounds.png")


if __name__ == "__main__":
    main()
