"""`hermes list` in a terminal: a short table of a kind, in 80 columns, and a long one of one name."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hermes.listing import Facts
from hermes.terminal import LEAN

Cell = Callable[[Facts], Any]


def short(kind: str, found: Sequence[Facts]) -> Group:
    """One line for each, the reasons of those that cannot be used, and how to see more."""
    table = Table(title=kind, **LEAN)
    for name in COLUMNS[kind]:
        table.add_column(name, overflow="fold", justify="right" if name.startswith("n (") else "left")
    for column in table.columns[:1] if kind != "evaluators" else table.columns[:2]:
        column.no_wrap = True
    good = [one for one in found if "error" not in one]
    for one in good:
        table.add_row(*(_said(cell(one)) for cell in COLUMNS[kind].values()))
    broken = [Text(f"{one['name']}: {one['error']}", style="red") for one in found if "error" in one]
    more = Text(f"More about one: hermes list {kind} {good[0]['name'] if good else 'NAME'}", style="dim")
    return Group(table, *broken, more)


def long(kind: str, one: Facts) -> tuple[Table | Text | str, ...]:
    """All that is known of one; a file as it is."""
    if "error" in one:
        return (Text(f"{one['name']}: {one['error']}", style="red"),)
    table = Table(title=f"{kind[:-1]} {one['name']}", show_header=False, **LEAN)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for name, value in one.items():
        if name not in ("name", "equation", "file"):
            table.add_row(name.replace("_", " "), _said(value))
    return (table, *([f"\n{one['file']}"] if "file" in one else []))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, int):
        return f"{value:,}" if value else "-"
    return "-" if value in (None, "") else str(value)


def _count(one: Facts, n: str) -> str:
    times = f" x {one['images']}" if one["images"] > 1 else ""
    return f"{one[n]:,}{times}" if one[n] else "-"


def _judge_of(one: Facts) -> str:
    return (one["judge"] or "yours") if one["judge_needs"] else "-"


COLUMNS: dict[str, dict[str, Cell]] = {
    "models": {
        "name": lambda one: one["name"],
        "parameters": lambda one: one["parameters"],
        "understands": lambda one: one["understands"],
        "generates": lambda one: one["generates"],
        "align": lambda one: f"{one['likelihoods'][0]}s" if len(one["likelihoods"]) == 1 else one["align"],
        "needs": lambda one: one["needs"],
    },
    "evaluators": {
        "name": lambda one: one["name"],
        "ability": lambda one: one["ability"],
        "n (real)": lambda one: _count(one, "n"),
        "n (shapes)": lambda one: _count(one, "n_shapes"),
        "metric": lambda one: one["headline"] + (f", {one['unit']}" if one["unit"] != "0..1" else ""),
        "judge": _judge_of,
    },
    "judges": {
        "name": lambda one: one["name"],
        "can": lambda one: one["can"],
        "needs": lambda one: one["needs"],
        "description": lambda one: one["description"],
    },
    "objectives": {"name": lambda one: one["name"], "loss": lambda one: one["equation"]},
    "sides": {"name": lambda one: one["name"], "loss": lambda one: one["equation"]},
    "recipes": {"name": lambda one: one["name"], "what it is": lambda one: one["about"]},
}
