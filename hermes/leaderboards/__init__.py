"""Leaderboards: tables of what runs have measured, read from their folders alone."""

from collections.abc import Sequence
from pathlib import Path

from hermes.harness.errors import HermesError

FORMATS = ("md", "latex", "html")


def leaderboard(
    paths: Sequence[Path],
    format: str = "md",
    deltas: bool = False,
    intervals: bool = False,
    published: bool = False,
    base: str | None = None,
) -> str:
    """The tables of all runs under the paths: models in rows, benchmarks in columns, the gap last, best in bold.

    Runs on the built-in world and on real data have tables of their own; partial runs are listed and not ranked.
    Self-plays add a table of their rounds. ``deltas`` shows the difference to the row called ``base`` (label or run id;
    the first row without it), ``intervals`` the 95 % intervals, ``published`` the paper's rows, marked as quoted.
    Raises HermesError for an unknown format, for paths without a run, and for files that cannot be read.
    """
    from hermes.leaderboards import html, latex, markdown
    from hermes.leaderboards.ablation import ablation_tables
    from hermes.leaderboards.board import boards
    from hermes.leaderboards.published import published_tables
    from hermes.leaderboards.read import read_histories, read_runs

    if format not in FORMATS:
        raise HermesError(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    where = [Path(path) for path in paths]
    runs, histories = read_runs(where), read_histories(where)
    if not runs and not histories:
        names = ", ".join(str(path) for path in where) or "the given paths"
        raise HermesError(f"no finished run under {names}; run `hermes eval` first, or give another folder")
    tables = boards(runs, deltas or base is not None, base) + ablation_tables(histories)
    if published:
        tables += published_tables()
    document = {"md": markdown.document, "latex": latex.document, "html": html.document}[format]
    return document("Leaderboard", tables, intervals)
