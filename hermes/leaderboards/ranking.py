"""Which numbers of a table are best, and how far its rows are from one of them: only what the intervals carry.

Best is a number that is better than every other of its column by more than the 95 % interval of their difference;
second one that is so but for the best. A gap is better the nearer it is to 0. Numbers on different terms, gaps on both
sides of 0 and partial numbers are never ranked.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hermes.harness.records.types import Metric
from hermes.leaderboards.nearer import is_nearer, on_both_sides
from hermes.leaderboards.tables import Better, Cell, Table, has_number, without_empty

APART = "n/c"  # Not comparable.
BOTH_SIDES = "some gaps are below 0 and some above it, and no paired interval tells which is nearer"
UNPAIRED = (
    "Held against each other by their own intervals, as if independent, since answers are missing or tell no means"
)


def finished(tables: Sequence[Table], deltas: bool = False, base: str | None = None) -> list[Table]:
    """The tables as they are shown: without empty columns, ranked, with ``deltas`` each followed by its differences."""
    found = [ranked(without_empty(table)) for table in tables]
    return [one for table in found for one in (table, differences(table, base) if deltas else None) if one]


def ranked(table: Table) -> Table:
    """The table with its best and second numbers marked; a note for each column whose rows cannot be compared."""
    rows = [list(row) for row in table.rows]
    notes, unpaired = [], []
    for place, column in enumerate(table.columns):
        if not column.better:
            continue
        found = [row[place] for row in rows if _is_ranked(row[place])]
        if reasons := _reasons(found):
            notes.append(f"{column.title}: {reasons}, so none is best.")
        elif column.better == "nearest" and on_both_sides(map(_metric, found)):
            notes.append(f"{column.title}: {BOTH_SIDES}, so none is best.")
        elif len(found) > 1:
            values = [_metric(cell).value for cell in found]
            worth = values if column.better == "higher" else [-abs(value) for value in values]
            paired: list[bool] = []
            best, second = podium(worth, _beyond(found, column.better, paired))
            unpaired += [column.title] * (best is not None and not all(paired))
            for row in rows:
                if best is not None and row[place] is found[best]:
                    row[place] = replace(row[place], best=True)
                elif second is not None and row[place] is found[second]:
                    row[place] = replace(row[place], second=True)
    sources = [f"{UNPAIRED}: {', '.join(unpaired)}."] if unpaired else []
    return replace(
        table,
        rows=tuple(map(tuple, rows)),
        notes=(*table.notes, *notes),
        sources=(*table.sources, *sources),
        ranked=any(cell.best for row in rows for cell in row),
    )


def podium(values: Sequence[float], beyond: Callable[[int, int], bool]) -> tuple[int | None, int | None]:
    """The places of the best and of the second value, higher is better; None where that is not certain.

    ``beyond(i, j)`` says whether the values at i and j differ by more than their interval. Where only two values are
    there, none is second.
    """
    order = sorted(range(len(values)), key=lambda place: -values[place])
    if len(order) < 2 or not all(beyond(order[0], other) for other in order[1:]):
        return None, None
    rest = order[2:]
    return order[0], order[1] if rest and all(beyond(order[1], other) for other in rest) else None


def differences(table: Table, base: str | None) -> Table | None:
    """How far the other measured rows are from the base row (by label or run id), each with its interval.

    Without it the first measured row is the base, and in a table of rounds the first round of each arm. None where no
    row is the base, or no other row is there.
    """
    starts = _starts(table, base)
    places = [place for place, column in enumerate(table.columns) if column.better]
    if not any(start and start is not row for row, start in zip(table.measured, starts, strict=True)) or not places:
        return None
    reasons: dict[tuple[str, str], list[str]] = {}
    apart: list[str] = []
    rows = []
    for row, start in zip(table.measured, starts, strict=True):
        if start is None or row is start:
            continue
        cells = list(row[: table.labels])
        for place in places:
            title = table.columns[place].title
            cell, unpaired, reason = _difference(row[place], start[place])
            cells.append(cell)
            if reason:
                reasons.setdefault((table.label(row), reason), []).append(title)
            if unpaired:
                apart.append(title)
        rows.append(tuple(cells))
    notes = [f"{APART}, not comparable: {', '.join(names)} of {who}, {why}." for (who, why), names in reasons.items()]
    sources = [f"{UNPAIRED}: {', '.join(dict.fromkeys(apart))}."] if apart else []
    return Table(
        title=f"{table.title}: difference from {_called(table, base, starts)}",
        columns=(
            *table.columns[: table.labels],
            *(replace(table.columns[place], signed=True) for place in places),
        ),
        rows=tuple(rows),
        caption="With 95 % intervals, paired item by item. Bold: beyond the interval.",
        notes=tuple(notes),
        sources=tuple(sources),
        labels=table.labels,
    )


def _starts(table: Table, base: str | None) -> list[tuple[Cell, ...] | None]:
    """The row that each measured row is held against."""
    if base is not None or table.labels == 1:
        start = next((row for row in table.measured if base is None or is_called(table, row, base)), None)
        return [start] * len(table.measured)
    first: dict[str, tuple[Cell, ...]] = {}
    return [first.setdefault(row[0].text, row) for row in table.measured]


def _called(table: Table, base: str | None, starts: Sequence[tuple[Cell, ...] | None]) -> str:
    """What the rows are held against, in words."""
    start = next(one for one in starts if one)
    if base is not None or table.labels == 1:
        return table.label(start)
    return f"{table.columns[1].title.lower()} {start[1].text} of each {table.columns[0].title.lower()}"


def is_called(table: Table, row: tuple[Cell, ...], name: str) -> bool:
    """Whether a row has this label, this model or this run id."""
    return name in (table.label(row), row[0].text, *row[0].source.split(", "))


def is_beyond(metric: Metric) -> bool:
    """Whether a difference is beyond its interval."""
    return metric.low is not None and metric.high is not None and (metric.low > 0 or metric.high < 0)


def _difference(mine: Cell, start: Cell) -> tuple[Cell, bool, str]:
    """The cell of a difference, whether it is not paired, and why there is none."""
    if not (has_number(mine) and has_number(start) and mine.origin and start.origin):
        return Cell(), False, ""
    if reason := mine.origin.why_not(start.origin):
        return Cell(text=APART), False, reason
    found = mine.origin.minus(start.origin)
    if found is None:
        return Cell(), False, ""
    metric = found.metric
    cell = Cell(metric.value, low=metric.low, high=metric.high, best=is_beyond(metric), source=mine.source)
    return cell, not found.paired, ""


def _is_ranked(cell: Cell) -> bool:
    return has_number(cell) and cell.origin is not None and not cell.origin.partial


def _metric(cell: Cell) -> Metric:
    """The number of a cell that has one."""
    return Metric(value=cell.value or 0.0, low=cell.low, high=cell.high)


def _reasons(cells: Sequence[Cell]) -> str:
    """In what the cells of a column differ, so that they cannot be ranked; "" where they can."""
    first = cells[0].origin if cells else None
    found = [cell.origin.why_not(first) for cell in cells[1:] if cell.origin and first]
    words = dict.fromkeys(_word(part) for reason in found if reason for part in reason.split("; "))
    return f"the rows differ in {_listed(list(words))}" if words else ""


def _word(reason: str) -> str:
    """``judge vlm 2, not oracle 1`` is about the judge."""
    return {"other data": "data", "other benchmarks": "benchmarks"}.get(reason, reason.partition(" ")[0])


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]


def _beyond(cells: Sequence[Cell], better: Better, paired: list[bool]) -> Callable[[int, int], bool]:
    """Whether one cell is better than another by more than the interval of their difference.

    That difference is over what both have answered, so it may have the other sign than that of their numbers.
    ``paired`` gets whether the interval is a paired one.
    """

    def beyond(mine: int, other: int) -> bool:
        one, two = cells[mine].origin, cells[other].origin
        found = one.minus(two) if one and two else None
        paired.append(found is not None and found.paired)
        if found is None or not is_beyond(found.metric):
            return False
        if better == "higher":
            return bool(found.metric.value > 0)
        return is_nearer(_metric(cells[mine]), _metric(cells[other]), found.metric.value)

    return beyond
