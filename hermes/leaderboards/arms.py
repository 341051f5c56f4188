"""The report of an ablation: what each arm reaches, every round, what it changed, how arms differ, and the curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import MissingExtra
from hermes.leaderboards import html, markdown
from hermes.leaderboards.ablation import ablation_tables
from hermes.leaderboards.changes import (
    Change,
    Difference,
    against_of,
    against_table,
    benchmark_against_table,
    benchmark_changes_table,
    benchmark_steps_table,
    changes_of,
    changes_table,
    steps_table,
)
from hermes.leaderboards.curves import curves_png
from hermes.leaderboards.plays import named_arm, read_plays
from hermes.leaderboards.ranking import finished
from hermes.leaderboards.reached import Reached, from_base_table, reached, reached_from, reached_table
from hermes.leaderboards.read import HISTORY
from hermes.leaderboards.tables import Cell, Table, text_column

CURVES = "curves.png"
STYLE = "body { max-width: 120rem; }\n"
"""As wide as the screen, as one row of an arm has all columns."""


def write_report(out: Path, arms: Mapping[str, Path], base: str, failed: Mapping[str, str]) -> None:
    """Write report.md, report.html and, where matplotlib is installed, curves.png to ``out``.

    ``arms`` maps names to the folders of their self-plays, in the order of the tables; ``base`` is the arm that the
    others are compared with. Arms without a finished round are left out, ``failed`` says why some have none.
    """
    folders = [folder for folder in arms.values() if any(folder.glob(f"**/{HISTORY}"))]
    tables = _tables(folders, base) if folders else []
    if failed:
        rows = tuple((Cell(text=name), Cell(text=why)) for name, why in failed.items())
        tables.append(Table("Failed", (text_column("Self-play"), text_column("Why")), rows))
    write_atomic(out / "report.md", markdown.document("Ablation", tables, intervals=True))
    write_atomic(out / "report.html", html.document("Ablation", tables, intervals=True, style=STYLE))
    if not folders:
        return
    try:
        curves_png(folders, named_arm, out / CURVES)
    except MissingExtra:
        return  # The tables say all that the picture does.


def _tables(folders: Sequence[Path], base: str) -> list[Table]:
    """First one row an arm, then round by round what that does not hold already."""
    arms = read_plays(folders)
    found, last = changes_of(arms), reached(arms)
    above, below = [reached_table(last, arms)], []
    if not _covers(last, found):
        below += [changes_table(found), benchmark_changes_table(found)]
    below.append(steps_table(found))
    if any(one.round > 1 for one in found):
        below.append(benchmark_steps_table(found))
    if base in arms and any(one.arm == base for one in found) and len({one.arm for one in found}) > 1:
        differences, ends = against_of(arms, base), reached_from(arms, base)
        above.append(from_base_table(ends, arms, base))
        below.append(against_table(differences))
        if not _covers(ends, differences):
            below.append(benchmark_against_table(differences))
    histories = [play.history for plays in arms.values() for play in plays]
    return [table for table in (*above, *finished(ablation_tables(histories)), *below) if table.rows]


def _covers(last: Sequence[Reached], rounds: Sequence[Change] | Sequence[Difference]) -> bool:
    """Whether the rows of one row an arm are those of a table of rounds."""
    shown = {(one.arm, one.round, one.seeds) for one in last}
    return all((one.arm, one.round, one.seeds) in shown for one in rounds)
