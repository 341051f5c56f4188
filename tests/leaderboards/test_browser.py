"""The HTML in a real browser: it shows what was measured, and runs nothing that a model or a label smuggled in."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.leaderboards import leaderboard
from hermes.leaderboards.report import write_reports

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
HOSTILE = "<script>document.title = 'owned'</script>row & one"


def browse(page: Path, *arguments: str) -> str:
    """Open a page headless; returns what the browser prints."""
    command = (str(BROWSER), *FLAGS, f"--user-data-dir={page.parent / 'profile'}", *arguments, page.as_uri())
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "run"
    evaluate(EvalSettings(model="null", tasks=("pope", "geneval"), limit=2, out=folder, label=HOSTILE))
    write_reports(folder)
    return folder


def test_the_report_shows_scores_and_runs_nothing(run: Path) -> None:
    seen = browse(run / "report.html", "--dump-dom")
    assert "POPE" in seen
    assert "GenEval" in seen
    assert "&lt;script&gt;" in seen
    assert "<title>owned" not in seen


def test_the_leaderboard_is_drawn(run: Path) -> None:
    page = run.parent / "board.html"
    page.write_text(leaderboard([run], "html"), encoding="utf-8")
    assert "<title>owned" not in browse(page, "--dump-dom")
    picture = run.parent / "board.png"
    browse(page, "--window-size=1200,600", f"--screenshot={picture}")
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 8
