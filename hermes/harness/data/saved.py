"""Rows of folders that `datasets.save_to_disk` wrote: one table, or a folder a split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.hub import table_rows, with_encoded_images
from hermes.harness.system.errors import HermesError

SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
FILES = {SPLITS, STATE, INFO, "dataset_infos.json"}
"""Files about a data set, which hold no rows."""


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (folder / SPLITS).is_file() or ((folder / STATE).is_file() and (folder / INFO).is_file())


def saved_rows(folder: Path, split: str) -> Iterator[Row]:
    """The rows of the split, which may be several joined by "+"; those of the only table where there is but one.

    Raises HermesError where the folder holds others alone, or cannot be read.
    """
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
        tables: dict[str, Any] = dict(found) if isinstance(found, dict) else {"": found}
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HermesError(f"{folder} cannot be read as a saved data set ({reason}); save it again") from None
    names = list(tables) if len(tables) == 1 else [name for name in split.split("+") if name in tables]
    if not names:
        raise HermesError(f"{folder} holds {', '.join(tables)}, not {split}; give the folder of the split to be read")
    for name in names:
        home = folder / name
        yield from table_rows(with_encoded_images(tables[name]), str(home), home)
