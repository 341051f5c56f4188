"""The report of one run folder, evaluation or self-play: tables as Markdown, and a page to look at."""

from pathlib import Path

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import markdown
from hermes.leaderboards.evaluation_page import evaluation_page
from hermes.leaderboards.evaluation_tables import evaluation_tables
from hermes.leaderboards.read import HISTORY, RESULTS, History, Run, read_history, read_run
from hermes.leaderboards.runs_index import update_index
from hermes.leaderboards.self_play_page import self_play_page
from hermes.leaderboards.self_play_tables import self_play_tables


def write_reports(folder: Path) -> None:
    """report.md and report.html of a run folder, and the index of the folder of runs that it lies in."""
    write_atomic(folder / "report.md", report_markdown(folder))
    write_atomic(folder / "report.html", report_html(folder))
    update_index(folder)


def report_markdown(run_dir: Path) -> str:
    """The report as Markdown. Raises HermesError where the folder holds no finished run."""
    found = _read(Path(run_dir))
    tables = self_play_tables(found) if isinstance(found, History) else evaluation_tables(found)
    return markdown.document(title_of(found), tables, intervals=True)


def report_html(run_dir: Path) -> str:
    """The report as one self-contained HTML page. Raises HermesError where the folder holds no finished run."""
    found = _read(Path(run_dir))
    if isinstance(found, History):
        return self_play_page(title_of(found), found)
    return evaluation_page(title_of(found), found)


def title_of(found: Run | History) -> str:
    """The headline of a report."""
    if isinstance(found, History):
        return f"Self-play of {found.model.name}" + (" (partial)" if found.partial else "")
    return found.name + (" (partial run)" if found.partial else "")


def _read(folder: Path) -> Run | History:
    if (folder / HISTORY).exists():
        return read_history(folder / HISTORY)
    if (folder / RESULTS).exists():
        return read_run(folder / RESULTS)
    raise HermesError(f"{folder} holds neither {RESULTS} nor {HISTORY}; give the folder of a finished run")
