"""Leaderboards: tables of what runs have measured, read from their folders alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import pandas as pd

    from hermes.leaderboards.comparing import Comparison
    from hermes.leaderboards.read import History, Run
    from hermes.leaderboards.tables import Table

FORMATS = ("md", "latex", "html", "csv", "json")
DATA = ("csv", "json")


def tables_of(
    paths: Sequence[Path | str] | Path | str,
    table: str | None = None,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    sort: str | None = None,
    precision: int | None = None,
    deltas: bool = False,
    base: str | None = None,
    published: bool = False,
) -> "list[Table]":
    """The tables of all runs under the paths: models in rows, the gap and the benchmarks in columns.

    The runs of one model share a row; what differs in protocol, judge or data has a row of its own that says so. Runs
    on the built-in world and on real data have tables of their own, and so have the rounds of self-plays. Partial
    numbers are marked and not ranked; best and second are marked where the rows can be compared and differ by more than
    the paired 95 % interval.

    ``table`` names a table of the HermesFlow paper (presets.TABLES) to fill. ``columns`` are the columns to show, by
    title or task, in this order; ``rows`` patterns of labels or run ids; ``sort`` the column to sort by, best first;
    ``precision`` the digits after the point. ``deltas`` adds a table of the differences to the row called ``base``
    (label or run id; the first measured row without it), with paired intervals. ``published`` adds the paper's rows,
    marked as quoted. Raises HermesError for names that nothing has, for paths without a run, and for files that cannot
    be read.
    """
    from hermes.leaderboards.ablation import ablation_tables
    from hermes.leaderboards.board import boards
    from hermes.leaderboards.presets import preset_tables
    from hermes.leaderboards.published import published_tables
    from hermes.leaderboards.ranking import finished, is_called
    from hermes.leaderboards.shaping import only_columns, only_rows, sorted_rows, with_digits

    runs, histories = _found(paths)
    if table is not None:
        found = preset_tables(table, runs, histories, published)
    else:
        rounds = {run.path for history in histories for run in history.evaluations.values()}
        found = boards([run for run in runs if run.path not in rounds]) + ablation_tables(histories)
    if rows:
        found = only_rows(found, rows)
    if published and table is None:
        found += published_tables()
    if columns:
        found = only_columns(found, columns)
    if base is not None and not any(is_called(one, row, base) for one in found for row in one.measured):
        names = ", ".join(dict.fromkeys(one.label(row) for one in found for row in one.measured))
        raise HermesError(f"no row is called {base!r}; --base is one of: {names}")
    found = finished(found, deltas or base is not None, base)
    if sort is not None:
        found = sorted_rows(found, sort)
    return [with_digits(one, precision) for one in found] if precision is not None else found


def leaderboard(
    paths: Sequence[Path | str] | Path | str, format: str = "md", intervals: bool = False, **options: Any
) -> str:
    """`tables_of` as text, with the same ``options``: "md", "latex" (booktabs) or "html".

    ``intervals`` shows the 95 % intervals.

    "csv" and "json" are `frame`: all numbers, as they are. Of the options ``table``, ``columns`` and ``rows`` choose
    among them; the others do not apply. Raises HermesError for an unknown format, and as `tables_of` and `frame`.
    """
    from hermes.leaderboards import html, latex, markdown

    if format not in FORMATS:
        raise HermesError(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    if format in DATA:
        given = {**options, "intervals": intervals}
        unused = [name for name in ("sort", "precision", "deltas", "base", "intervals", "published") if given.get(name)]
        if unused:
            raise HermesError(f"{format} holds all numbers as they are; leave out {', '.join(unused)}")
        found = frame(paths, **{name: value for name, value in options.items() if name in ("table", "columns", "rows")})
        return found.to_csv(index=False) if format == "csv" else found.to_json(orient="records", indent=2) + "\n"
    document = {"md": markdown.document, "latex": latex.document, "html": html.document}[format]
    return document("Leaderboard", tables_of(paths, **options), intervals)


def frame(
    paths: Sequence[Path | str] | Path | str,
    table: str | None = None,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> "pd.DataFrame":
    """All numbers of all runs under the paths as a tidy table: one row for each model, run, task and metric.

    Columns: ``label``, ``model``, ``revision``, ``weights``, ``dtype``, ``parameters`` and ``run`` say who answered
    where; ``task``, ``evaluator``, ``version``, ``ability``, ``protocol`` and ``judge`` what was asked and who scored
    it; ``metric``, ``headline`` (whether it is the task's), ``unit`` (known for headlines), ``value``, ``low``,
    ``high``, ``n`` and ``groups`` the number, its 95 % interval and what it is over; ``data``, ``data_revision``,
    ``data_fingerprint``, ``world``, ``split``, ``seed`` and ``limit`` the data; ``partial``, ``answers``,
    ``expected``, ``scored``, ``unparsed`` and ``errors`` how complete the task is. The gaps are tasks of their own,
    ``homologous-gap`` and ``benchmark-gap``, with the metrics u, g and gap. What is unknown is missing.
    ``table`` keeps the numbers of a table of the paper, ``columns`` those of these tasks, by title or task, ``rows``
    those whose label or run id fits a pattern. Raises HermesError for paths without a run, for files that cannot be
    read, and where nothing is left.
    """
    from hermes.leaderboards.presets import preset_runs
    from hermes.leaderboards.tidy import chosen, tidy

    runs, histories = _found(paths)
    if table is not None:
        runs = preset_runs(table, runs, histories)
    return chosen(tidy(runs), table, columns, rows)


def frames(paths: Sequence[Path | str] | Path | str, **options: Any) -> "dict[str, pd.DataFrame]":
    """`tables_of` by their titles, with numbers as numbers: one row a model, indexed by its label."""
    from hermes.leaderboards.tidy import wide

    return {one.title: wide(one) for one in tables_of(paths, **options)}


def compare(runs: Sequence[Path | str]) -> "Comparison":
    """How far runs are from the first of them, item by item: see `hermes.leaderboards.comparing.compare`."""
    from hermes.leaderboards.comparing import compare as compare_runs

    return compare_runs([Path(run) for run in runs])


def comparison(found: "Comparison", format: str = "md", every: bool = False, samples: int = 5) -> str:
    """A comparison as text in one of FORMATS.

    csv holds the differences, json the samples that flipped, too. The tables show ``every`` category, or those that
    differ by more than their interval, and of each benchmark so many ``samples``; the HTML page always has every
    category. Raises HermesError for an unknown format.
    """
    from hermes.leaderboards import latex, markdown
    from hermes.leaderboards.compared import as_json, page, tables

    if format not in FORMATS:
        raise HermesError(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    if format == "csv":
        return found.differences.to_csv(index=False)
    if format == "json":
        return as_json(found)
    if format == "html":
        return page(found, samples)
    document = {"md": markdown.document, "latex": latex.document}[format]
    return document("Comparison", tables(found, every, samples))


def _found(paths: Sequence[Path | str] | Path | str) -> "tuple[list[Run], list[History]]":
    from hermes.leaderboards.read import read_all

    where = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    runs, histories = read_all(where)
    if not runs and not histories:
        names = ", ".join(str(path) for path in where) or "the given paths"
        raise HermesError(f"no finished run under {names}; run `hermes eval` first, or give another folder")
    return runs, histories
