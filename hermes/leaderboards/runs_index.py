"""The index.html of a folder of runs: every report below it, with its model, its gap and its date, newest first."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from hermes.harness.system.disk import read_json, write_atomic
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import html, plots
from hermes.leaderboards.parts import STYLE, bars, number, scale, small
from hermes.leaderboards.plots import Gap
from hermes.leaderboards.read import HISTORY, OF_A_ROUND, History, Round, Run, find_files, read_history, read_run
from hermes.leaderboards.titles import counted

INDEX, REPORT, RUN, SPEC = "index.html", "report.html", "run.json", "spec.json"
MARK = "<!-- The reports below this folder, listed by Hermes. -->"


class _Entry(NamedTuple):
    report: Path
    name: str
    more: str
    gap: Gap | None
    over: str
    undefined: str
    before: Gap | None
    time: float


def update_index(folder: Path) -> None:
    """Write the index of the folder of runs that a run or a self-play lies in.

    Nothing is written where it lies in none, and over a page that is not Hermes's.
    """
    root = runs_folder(folder)
    if root is None:
        return
    path = root / INDEX
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return
    write_atomic(path, index_html(root))


def runs_folder(folder: Path) -> Path | None:
    """The folder of runs that a run's or a self-play's folder lies in, as its run.json says; None where in none."""
    told = next((home / RUN for home in (folder, folder / "round-0" / "evaluation") if (home / RUN).is_file()), None)
    if told is None:
        return None
    try:
        root = Path(os.path.abspath(told.parent / str(read_json(told)["root"])))
    except (HermesError, KeyError):
        return None
    return root if root in folder.absolute().parents and not (root / SPEC).exists() else None


def index_html(root: Path) -> str:
    """The page as HTML that needs nothing else; what cannot be read is passed over."""
    entries = sorted(_entries(root), key=lambda entry: (-entry.time, entry.report))
    gaps = [gap for entry in entries for gap in (entry.gap, entry.before) if gap]
    ends = plots.gap_range(gaps)
    rows = [(_name(entry, root), _drawing(entry, ends), _number(entry)) for entry in entries]
    table = bars(("Report", scale(*ends, ".1f") if gaps else "", "Gap (U - G)"), rows)
    signs = f"{plots.key('u')}U, understanding {plots.key('g')}G, generation"
    key = f"<p>{signs}, of homologous items where nothing else is said; whiskers are the gap's 95 % interval.</p>\n"
    return html.page("Runs", f"{MARK}\n{table}{key if gaps else ''}", STYLE)


def _entries(root: Path) -> Iterator[_Entry]:
    """The runs and self-plays that have a report; a round's own runs are found from its self-play."""
    for path in find_files([root]):
        home = path.parent
        of_a_round = home.name in OF_A_ROUND and (home.parent.parent / HISTORY).is_file()
        if of_a_round or not (home / REPORT).is_file():
            continue
        try:
            entry = _self_play(path) if path.name == HISTORY else _run(path)
        except (HermesError, IndexError):
            continue
        yield entry


def _run(path: Path) -> _Entry:
    run = read_run(path)
    found = run.gap.homologous or run.gap.benchmarks
    told = [counted(len(run.results), "benchmark"), run.world, f"{run.split} split", *_partial(run), run.run_id]
    gap = Gap(found.u, found.g, found.gap) if found else None
    over = "" if run.gap.homologous else "over benchmarks"
    undefined = run.gap.undefined
    return _Entry(path.parent / REPORT, run.name, ", ".join(told), gap, over, undefined, None, path.stat().st_mtime)


def _self_play(path: Path) -> _Entry:
    history = read_history(path)
    before, after = (_gap(entry) for entry in (history.rounds[0], history.rounds[-1]))
    rounds = counted(history.rounds[-1].round, "round")
    told = ", ".join(["self-play", history.name, rounds, *_partial(history), history.align_id])
    name, undefined = history.model.name, history.undefined
    return _Entry(path.parent / REPORT, name, told, after, "", undefined, before, path.stat().st_mtime)


def _gap(entry: Round) -> Gap | None:
    return Gap(entry.u, entry.g, entry.gap) if entry.u and entry.g and entry.gap else None


def _partial(found: Run | History) -> list[str]:
    return ["partial"] if found.partial else []


def _name(entry: _Entry, root: Path) -> str:
    address = quote(entry.report.relative_to(root).as_posix())
    written = datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d %H:%M")
    return f'<a href="{html.escape(address)}">{html.escape(entry.name)}</a>{small(entry.more)}{small(written)}'


def _drawing(entry: _Entry, ends: tuple[float, float]) -> str:
    drawn = [plots.gap_line(gap, ends) for gap in (entry.before, entry.gap) if gap]
    missing = f"gap undefined: the model {entry.undefined}" if entry.undefined else "no gap measured"
    return "".join(drawn) or small(missing)


def _number(entry: _Entry) -> str:
    if entry.gap is None:
        return ""
    before = small(f"from {entry.before.gap.value:+.3f} to") if entry.before else ""
    return before + number(entry.gap.gap, 3, sign=True) + small(entry.over)
