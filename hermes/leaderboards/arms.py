"""The report of an ablation: every arm's rounds, what they changed, how arms differ, and the curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import MissingExtra
from hermes.leaderboards import html, markdown
from hermes.leaderboards.ablation import ablation_tables
from hermes.leaderboards.changes import (
    against,
    against_table,
    benchmark_against_table,
    benchmark_changes_table,
    benchmark_steps_table,
    changes,
    changes_table,
    steps_table,
)
from hermes.leaderboards.curves import curves_png
from hermes.leaderboards.plays import named_arm
from hermes.leaderboards.ranking import finished
from hermes.leaderboards.read import HISTORY, read_histories
from hermes.leaderboards.tables import Cell, Table, text_column

CURVES = "curves.png"


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
    write_atomic(out / "report.html", html.document("Ablation", tables, intervals=True))
    if not folders:
        return
    try:
        curves_png(folders, named_arm, out / CURVES)
    except MissingExtra:
        return  # The tables say all that the picture does.


def _tables(folders: Sequence[Path], base: str) -> list[Table]:
    found = changes(folders)
    tables = [changes_table(found), benchmark_changes_table(found), steps_table(found), benchmark_steps_table(found)]
    if any(one.arm == base for one in found) and len({one.arm for one in found}) > 1:
        differences = against(folders, named_arm, base)
        tables += [against_table(differences), benchmark_against_table(differences)]
    return [*finished(ablation_tables(read_histories(folders))), *(table for table in tables if table.rows)]
