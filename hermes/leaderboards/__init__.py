"""Leaderboards: tables of what runs have measured, read from their folders alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import pandas as pd

    from hermes.leaderboards.read import History, Run

FORMATS = ("md", "latex", "html", "csv", "jsonl")


def leaderboard(
    paths: Sequence[Path],
    format: str = "md",
    deltas: bool = False,
    intervals: bool = False,
    published: bool = False,
    base: str | None = None,
) -> str:
    """The tables of all runs under the paths: models in rows, benchmarks in columns, the gap last, best in bold.

    The runs of one model share a row; what differs in protocol, judge or data has a row of its own that says so. Runs
    on the built-in world and on real data have tables of their own; partial numbers are marked and not ranked.
    Self-plays add a table of their rounds. ``deltas`` shows the difference to the row called ``base`` (label or run id;
    the first row without it), ``intervals`` the 95 % intervals, ``published`` the paper's rows, marked as quoted.
    csv and jsonl are `frame`, all numbers of every run, to which the other options do not apply.
    Raises HermesError for an unknown format, for paths without a run, and for files that cannot be read.
    """
    from hermes.leaderboards import html, latex, markdown
    from hermes.leaderboards.ablation import ablation_tables
    from hermes.leaderboards.board import boards
    from hermes.leaderboards.published import published_tables

    if format not in FORMATS:
        raise HermesError(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    if format in ("csv", "jsonl"):
        if deltas or intervals or published or base is not None:
            raise HermesError(
                f"{format} holds all numbers as they are; leave out deltas, intervals, published and base"
            )
        found = frame(paths)
        return found.to_csv(index=False) if format == "csv" else found.to_json(orient="records", lines=True)
    runs, histories = _found(paths)
    tables = boards(runs, deltas or base is not None, base) + ablation_tables(histories)
    if published:
        tables += published_tables()
    document = {"md": markdown.document, "latex": latex.document, "html": html.document}[format]
    return document("Leaderboard", tables, intervals)


def frame(paths: Sequence[Path]) -> "pd.DataFrame":
    """All numbers of all runs under the paths as a tidy table: one row for each model, run, task and metric.

    Columns: ``label``, ``model``, ``revision``, ``weights``, ``dtype``, ``parameters`` and ``run`` say who answered
    where; ``task``, ``evaluator``, ``version``, ``ability``, ``protocol`` and ``judge`` what was asked and who scored
    it; ``metric``, ``headline`` (whether it is the task's), ``unit`` (known for headlines), ``value``, ``low``,
    ``high``, ``n`` and ``groups`` the number, its 95 % interval and what it is over; ``data``, ``data_revision``,
    ``data_fingerprint``, ``world``, ``split``, ``seed`` and ``limit`` the data; ``partial``, ``answers``,
    ``expected``, ``scored``, ``unparsed`` and ``errors`` how complete the task is. The gaps are tasks of their own,
    ``homologous-gap`` and ``benchmark-gap``, with the metrics u, g and gap. What is unknown is missing.
    Raises HermesError for paths without a run and for files that cannot be read.
    """
    from hermes.leaderboards.tidy import tidy

    return tidy(_found(paths)[0])


def _found(paths: Sequence[Path]) -> "tuple[list[Run], list[History]]":
    from hermes.leaderboards.read import read_all

    where = [Path(path) for path in paths]
    runs, histories = read_all(where)
    if not runs and not histories:
        names = ", ".join(str(path) for path in where) or "the given paths"
        raise HermesError(f"no finished run under {names}; run `hermes eval` first, or give another folder")
    return runs, histories
