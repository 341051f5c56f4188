"""Tables as data: cells that know their number, interval and source. The renderers only spell them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from hermes.harness.records.types import Metric

DASH = "-"
Better = Literal["higher", "nearest"]  # Nearest to 0: gaps.
Told = tuple[tuple[str, ...], tuple[str, ...]]  # The notes and the sources of a table.


class Origin(Protocol):
    """What a number was measured on; origins.py has the one that there is."""

    @property
    def partial(self) -> bool: ...
    def why_not(self, base: Any) -> str: ...
    def minus(self, base: Any) -> Any: ...


@dataclass(frozen=True)
class Cell:
    """A number or a text.

    ``low`` and ``high`` bound the 95 % interval, ``spread`` is the standard deviation over several seeds. ``best`` and
    ``second`` are set where that is certain (ranking.py). ``partial`` marks a number that covers only a part of the
    benchmark. ``source`` says where the number comes from: measured (run id) or quoted (source); ``origin`` is what it
    was measured on, so that it can be held against others, None for what is not ranked. ``digits`` replaces the
    column's where a column mixes units, ``signed`` where one of differences has a row of values.
    """

    value: float | None = None
    text: str = ""
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    best: bool = False
    second: bool = False
    partial: bool = False
    signed: bool | None = None
    source: str = ""
    digits: int | None = None
    origin: Origin | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Column:
    """``digits`` after the point; ``better`` says which numbers are, None for columns that are not ranked.

    ``signed`` numbers are differences, and show a plus. ``key`` is the task, what the column is called on the command
    line beside its title.
    """

    title: str
    digits: int = 1
    better: Better | None = "higher"
    signed: bool = False
    key: str = ""

    @property
    def is_text(self) -> bool:
        return self.digits < 0


def _as_told(table: "Table") -> Told:
    return table.notes, table.sources


@dataclass(frozen=True)
class Table:
    """``rows`` hold one cell for each column; the first ``labels`` columns name the row.

    ``notes`` are what a reader must know, ``sources`` where the numbers come from and what their author should know;
    both are lines under the table, and in LaTeX the sources are comments. The first ``rule`` rows are quoted, or what
    the others are changes of; a line stands below them. ``ranked`` says that best numbers are marked. ``about`` gives
    the notes and sources of a table of fewer rows or columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    labels: int = 1
    rule: int | None = None
    ranked: bool = False
    about: "Callable[[Table], Told]" = field(default=_as_told, repr=False, compare=False)

    @property
    def measured(self) -> tuple[tuple[Cell, ...], ...]:
        """The rows that are not quoted."""
        return self.rows[self.rule or 0 :]

    def label(self, row: tuple[Cell, ...]) -> str:
        """What the row is called."""
        return ", ".join(cell.text for cell in row[: self.labels] if cell.text)

    def take(self, places: Iterable[int]) -> "Table":
        """The table with these columns alone."""
        kept = list(places)
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
        ).told()

    def keep(self, places: Sequence[int]) -> "Table":
        """The table with these rows alone."""
        quoted = sum(place < (self.rule or 0) for place in places)
        return replace(self, rows=tuple(self.rows[place] for place in places), rule=quoted or None).told()

    def told(self) -> "Table":
        """The table with the notes and sources that are about it."""
        notes, sources = self.about(self)
        return replace(self, notes=notes, sources=sources)


TEXT = -1


def without_empty(table: Table) -> Table:
    """The table without columns in which no row has anything."""
    kept = [
        place
        for place in range(len(table.columns))
        if place < table.labels or any(row[place].text or has_number(row[place]) for row in table.rows)
    ]
    return table.take(kept)


def text_column(title: str, key: str = "") -> Column:
    return Column(title, digits=TEXT, better=None, key=key)


def legend(table: Table, underlined: bool = True) -> str:
    """What the marks of a ranked table mean, in a format that can underline or cannot."""
    second = ", second underlined," if underlined else ""
    return f"Best in bold{second} where the difference is beyond its paired 95 % interval." if table.ranked else ""


def has_number(cell: Cell) -> bool:
    """False for texts, for empty cells and for metrics that could not be computed."""
    return cell.value is not None and cell.value == cell.value


def spelled(metric: Metric, digits: int, sign: bool = False) -> str:
    """``0.016 [0.007, 0.035]``: the value and its 95 % interval, which need not be as long on both sides.

    The bounds of thousands are whole numbers.
    """

    def number(value: float, places: int = digits) -> str:
        return f"{round(value, places) + 0.0:{'+' * sign}.{places}f}"  # Adding zero turns -0.0 into 0.0.

    if metric.low is None or metric.high is None:
        return number(metric.value)
    low, high = (number(bound, 0 if abs(metric.value) >= 1000 else digits) for bound in (metric.low, metric.high))
    return f"{number(metric.value)} [{low}, {high}]"


def spell(cell: Cell, column: Column, intervals: bool = False) -> str:
    """A cell as plain text: ``81.4``, ``81.4 [79.0, 83.8]``, ``0.497 ± 0.012``, ``81.4 (partial)``, ``-`` where empty.

    Differences always have their intervals.
    """
    if cell.text:
        return cell.text
    if cell.value is None or not has_number(cell):
        return DASH
    digits = max(column.digits, 0) if cell.digits is None else cell.digits
    signed = column.signed if cell.signed is None else cell.signed
    low, high = (cell.low, cell.high) if intervals or signed else (None, None)
    parts = [spelled(Metric(value=cell.value, low=low, high=high), digits, signed)]
    if cell.spread is not None:
        parts.append(f"± {cell.spread:.{digits}f}")
    if cell.partial:
        parts.append("(partial)")
    return " ".join(parts)
