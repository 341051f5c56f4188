"""Shows what runs have measured: as tables on a terminal, as Markdown in a pipe, and in files of any format."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hermes.harness.system.screen import Screen
from hermes.harness.system.text import put, say

SUFFIXES = {".md": "md", ".tex": "latex", ".html": "html", ".htm": "html", ".csv": "csv", ".json": "json"}


def show_leaderboard(
    paths: Sequence[Path], format: str | None, out: Path | None, intervals: bool, **options: Any
) -> None:
    """Print or write the leaderboard; see `hermes.leaderboards.tables_of`."""
    from hermes.leaderboards import leaderboard, tables_of
    from hermes.leaderboards.console import document

    written = _format(format, out)
    if written is None:
        screen = Screen()
        screen.print(document(tables_of(paths, **options), intervals, screen.width))
    else:
        _write(leaderboard(paths, written, intervals, **options), out)


def show_comparison(
    runs: Sequence[Path], format: str | None, out: Path | None, every: bool, samples: int, plugins: Sequence[Path]
) -> None:
    """Print or write how far runs are from the first; see `hermes.leaderboards.compare`."""
    from hermes.harness.contracts.plugins import load_plugins
    from hermes.leaderboards import compare, comparison
    from hermes.leaderboards.compared import tables
    from hermes.leaderboards.console import document

    load_plugins(plugins)
    found = compare(runs)
    written = _format(format, out)
    if written is None:
        screen = Screen()
        screen.print(document(tables(found, every, samples), False, screen.width))
    else:
        _write(comparison(found, written, every, samples), out)


def _format(format: str | None, out: Path | None) -> str | None:
    """The format to write; None for a table on a terminal. Without one the file's name decides, Markdown for others."""
    if format is not None:
        return format
    if out is not None:
        return SUFFIXES.get(out.suffix, "md")
    return None if sys.stdout.isatty() else "md"


def _write(text: str, out: Path | None) -> None:
    if out is None:
        put(text.rstrip("\n") + "\n")
    else:
        from hermes.harness.system.disk import write_atomic

        write_atomic(out, text)
        say(f"written: {out}")
