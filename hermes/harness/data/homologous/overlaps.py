"""What the files of a folder's splits have in common."""

from collections.abc import Iterator
from pathlib import Path

from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.splits import files_of
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.data.shares import Shared, shared
from hermes.harness.records.types import Split


def overlaps(source: Path, task: str) -> Iterator[tuple[Split, Shared]]:
    """Each split that has items or pictures of train, and what these are."""
    splits = files_of(source, task).splits
    for split in splits if "train" in splits else ():
        rows = (_readable(homologous_rows(source, task, one)) for one in ("train", split))
        if split != "train" and (found := shared(*rows)):
            yield split, found


def _readable(rows: Rows) -> Rows:
    return Rows(lambda: (row for row in rows if not isinstance(row, BadRow)))


def told(split: str, train: str, found: Shared) -> str:
    """What two sides share, in words."""
    many = f"{found.count} items, such as" if found.count > 1 else "an item:"
    what = f"shows the picture of {found.train!r}" if found.picture else "stands in both"
    return f"{split} and {train} share {many} {found.held!r}, which {what}"
