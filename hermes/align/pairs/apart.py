"""What a self-play on real data trains on and what it is measured on: how the data are divided, and nothing shared."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from hermes.align.pairs.items import ItemSource, measured
from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.homologous.overlaps import told
from hermes.harness.data.homologous.splits import files_of
from hermes.harness.data.image_places import image_path, image_root
from hermes.harness.data.json_stream import json_values
from hermes.harness.data.shares import SPLITS, MadeUp, described, shared
from hermes.harness.data.tables import load_data, open_table
from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError

AT_LEAST = 1000


def division(source: ItemSource) -> str:
    """How real data are divided into splits, in one line."""
    if source.source.partition(":")[0] == "hub":
        return f"{source.source} is read as one split: {described(SPLITS)}"
    return files_of(Path(source.source), source.asker.name).said(measured(source.settings))


def refuse_shared(source: ItemSource) -> None:
    """Raise HermesError where an evaluation has an item or a picture that the training has, too.

    Looked at are all items that the rounds train on and that they are measured on, and 1,000 of either side at least. A
    file of pairs has ids of its own, so there the pictures decide.
    """
    settings = source.settings
    train = settings.items * (settings.rounds if settings.changes_items else 1)
    for split in measured(settings):
        sides = [("train", _rows(source, "train", train))]
        if settings.pairs:
            sides.append((settings.pairs.name, _real_images(settings.pairs)))
        for name, rows in sides:
            found = shared(rows, _rows(source, split, settings.eval_limit))
            if found:
                raise HermesError(f"{source.source}: {told(split, name, found)}; keep each item in one of them")


def evaluated(source: ItemSource, split: Split | None = None) -> str:
    """A hash of the items of a split, by default the one that is reported, that all rounds are measured on.

    Raises HermesError where there are none.
    """
    settings = source.settings
    data = load_data(source.asker, source.source, split or settings.eval_split, settings.eval_limit, pins=source.pins)
    return data.info.fingerprint


def refuse_unchosen(source: ItemSource) -> None:
    """Raise HermesError where guidances are to be compared on validation items, and there are none."""
    why = f"{source.source} has no validation items; add validation.jsonl"
    try:
        there = next(iter(_rows(source, "validation", 1)), None) is not None
    except HermesError as error:
        there, why = False, str(error)
    if not there:
        raise HermesError(f"--guidances is chosen from on validation items: {why}, or leave --guidances out")


def _real_images(pairs: Path) -> Iterable[Row]:
    """The real images of a file of pairs, as far as it is one."""
    for row in json_values(pairs):
        if isinstance(row, dict) and isinstance(image := row.get("img_path"), str):
            yield {"id": MadeUp(row.get("id")), "image": image_path(image, pairs.parent, image_root())}


def _rows(source: ItemSource, split: Split, wanted: int | None) -> Iterable[Row]:
    rows = open_table(source.asker, source.source, split, pins=source.pins).rows
    return rows if wanted is None else islice(rows, max(wanted, AT_LEAST))
