"""The report of one run folder, evaluation or self-play: tables as Markdown, and a page to look at."""

from pathlib import Path

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import html, markdown
from hermes.leaderboards.evaluation_tables import evaluation_tables
from hermes.leaderboards.read import HISTORY, RESULTS, History, Run, read_history, read_run
from hermes.leaderboards.self_play_tables import self_play_tables
from hermes.leaderboards.tables import Table


def write_reports(folder: Path) -> None:
    """report.md and report.html of a run folder."""
    write_atomic(folder / "report.md", report_markdown(folder))
    write_atomic(folder / "report.html", report_html(folder))


def report_markdown(run_dir: Path) -> str:
    """The report as Markdown. Raises HermesError where the folder holds no finished run."""
    found = _read(Path(run_dir))
    return markdown.document(title_of(found), _tables(found), intervals=True)


def report_html(run_dir: Path) -> str:
    """The report as one self-contained HTML page. Raises HermesError where the folder holds no finished run."""
    found = _read(Path(run_dir))
    return html.document(title_of(found), _tables(found), intervals=True)


def title_of(found: Run | History) -> str:
    """The headline of a report."""
    if isinstance(found, History):
        return f"Self-play of {found.model.name}"
    return found.name + (" (partial run)" if found.partial else "")


def _tables(found: Run | History) -> list[Table]:
    return self_play_tables(found) if isinstance(found, History) else evaluation_tables(found)


def _read(folder: Path) -> Run | History:
    if (folder / HISTORY).exists():
        return read_history(folder / HISTORY)
    if (folder / RESULTS).exists():
        return read_run(folder / RESULTS)
    raise HermesError(f"{folder} holds neither {RESULTS} nor {HISTORY}; give the folder of a finished run")
