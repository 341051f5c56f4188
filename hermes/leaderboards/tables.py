"""Tables as data: cells that know their number, interval and source. The renderers only spell them."""

from dataclasses import dataclass, field
from typing import Literal

from hermes.harness.records.types import Metric

DASH = "-"


@dataclass(frozen=True)
class Cell:
    """A number or a text.

    ``low`` and ``high`` bound the 95 % interval, ``spread`` is the standard deviation over several seeds, ``delta`` the
    difference to the base row. ``partial`` marks a number that covers only a part of the benchmark. ``source`` says
    where the number comes from: measured (run id) or quoted (source). ``digits`` replaces the column's where a column
    mixes units.
    """

    value: float | None = None
    text: str = ""
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    delta: float | None = None
    best: bool = False
    partial: bool = False
    source: str = ""
    digits: int | None = None


@dataclass(frozen=True)
class Column:
    """``digits`` after the point; ``better`` says which way is up, None for columns that are not ranked.

    ``signed`` numbers are differences, and show a plus.
    """

    title: str
    digits: int = 1
    better: Literal["higher", "lower"] | None = "higher"
    signed: bool = False

    @property
    def is_text(self) -> bool:
        return self.digits < 0


@dataclass(frozen=True)
class Table:
    """``rows`` hold one cell for each column; ``notes`` are lines under the table."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = field(default=())


TEXT = -1


def text_column(title: str) -> Column:
    return Column(title, digits=TEXT, better=None)


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
    """A cell as plain text: ``81.4``, ``81.4 [79.0, 83.8]``, ``0.497 ± 0.012``, ``81.4 (+1.4)``,
    ``81.4 (partial)``, ``-`` where empty."""
    if cell.text:
        return cell.text
    if cell.value is None or not has_number(cell):
        return DASH
    digits = max(column.digits, 0) if cell.digits is None else cell.digits
    low, high = (cell.low, cell.high) if intervals else (None, None)
    parts = [spelled(Metric(value=cell.value, low=low, high=high), digits, column.signed)]
    if cell.spread is not None:
        parts.append(f"± {cell.spread:.{digits}f}")
    if cell.delta is not None:
        parts.append(f"({cell.delta:+.{digits}f})")
    if cell.partial:
        parts.append("(partial)")
    return " ".join(parts)
