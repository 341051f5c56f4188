"""Which rows and columns of the tables are shown, in which order, and with how many digits."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from hermes.harness.system.errors import HermesError
from hermes.leaderboards.ranking import is_called
from hermes.leaderboards.tables import Cell, Column, Table, has_number


def only_rows(tables: Sequence[Table], patterns: Sequence[str]) -> list[Table]:
    """The rows whose label, model or run id is, or fits, one of the patterns; tables without such a row are left out.

    Raises HermesError for a pattern that no row fits.
    """
    for pattern in patterns:
        if not any(_fits(table, row, pattern) for table in tables for row in table.rows):
            names = ", ".join(dict.fromkeys(table.label(row) for table in tables for row in table.rows))
            raise HermesError(f"no row is called {pattern!r}; --rows fits labels and run ids: {names}")
    found = []
    for table in tables:
        places = [i for i, row in enumerate(table.rows) if any(_fits(table, row, one) for one in patterns)]
        if places:
            found.append(table.keep(places))
    return found


def only_columns(tables: Sequence[Table], names: Sequence[str]) -> list[Table]:
    """The columns of these names (titles or tasks), in this order, after the label; tables without any are left out.

    Raises HermesError for a name that no table has.
    """
    known = dict.fromkeys(_name(column) for table in tables for column in table.columns[table.labels :])
    for name in names:
        if not any(_is_named(column, name) for table in tables for column in table.columns):
            raise HermesError(f"no column is called {name!r}; --columns takes {', '.join(known)}")
    found = []
    for table in tables:
        places = [place for name in names for place, column in enumerate(table.columns) if _is_named(column, name)]
        if places:
            found.append(table.take((*range(table.labels), *dict.fromkeys(places))))
    return found


def sorted_rows(tables: Sequence[Table], name: str) -> list[Table]:
    """The rows by a column, best first, partial and missing numbers last; texts by alphabet.

    Differences of gaps, of which none is best, begin with the lowest. Quoted rows are sorted among themselves. Raises
    HermesError for a name that no table has.
    """
    if not any(_is_named(column, name) for table in tables for column in table.columns):
        known = dict.fromkeys(_name(column) for table in tables for column in table.columns)
        raise HermesError(f"no column is called {name!r}; --sort takes {', '.join(known)}")
    return [_sorted(table, name) for table in tables]


def with_digits(table: Table, digits: int) -> Table:
    """All measured numbers with this many digits after the point; counts and what is quoted stay as they are."""
    columns = tuple(replace(column, digits=digits) if column.better else column for column in table.columns)
    return replace(table, columns=columns)


def _sorted(table: Table, name: str) -> Table:
    place = next((place for place, column in enumerate(table.columns) if _is_named(column, name)), None)
    if place is None:
        return table
    column = table.columns[place]

    def key(row: tuple[Cell, ...]) -> tuple[bool, bool, float, str]:
        cell = row[place]
        value = cell.value if has_number(cell) and cell.value is not None else math.inf
        if column.better == "nearest":
            best_first = value if column.signed else abs(value)
        else:
            best_first = value if math.isinf(value) else -value
        return math.isinf(value) and not cell.text, cell.partial, best_first, cell.text

    rule = table.rule or 0
    return replace(table, rows=(*sorted(table.rows[:rule], key=key), *sorted(table.rows[rule:], key=key)))


def _fits(table: Table, row: tuple[Cell, ...], pattern: str) -> bool:
    return is_called(table, row, pattern) or fnmatchcase(table.label(row), pattern)


def _is_named(column: Column, name: str) -> bool:
    return name.casefold() in (column.title.casefold(), column.key.casefold())


def _name(column: Column) -> str:
    return column.key or column.title.lower()
