"""Which files of a source of homologous items hold which split, and what a split is taken from that has none."""

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hermes.harness.data.files import READERS
from hermes.harness.data.saved import is_saved
from hermes.harness.data.shares import SPLITS, described
from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError

# As others spell them: JourneyDB has a folder valid/, COCO a file captions_val2017.json.
SPELLINGS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF: dict[str, Split] = {name: split for split, names in SPELLINGS.items() for name in names}


@dataclass(frozen=True)
class Share:
    """The files that are read for a split, and which of the splits ``among`` which they are divided belong to it."""

    files: tuple[Path, ...]
    among: tuple[Split, ...]
    wanted: set[Split]


@dataclass(frozen=True)
class Files:
    """``whole`` are the files of a source without splits, else ``splits`` has those of each split that there is."""

    source: Path
    whole: tuple[Path, ...] = ()
    splits: dict[Split, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def every(self) -> tuple[Path, ...]:
        """All files, whichever split they hold."""
        return self.whole or tuple(path for files in self.splits.values() for path in files)

    def of(self, split: Split) -> tuple[Path, ...]:
        """The files of the split, or all where there are no splits. Raises HermesError where the split has none."""
        if self.splits and split not in self.splits:
            raise HermesError(f"{self.source} has {self._there()}, and nothing for {split}; give the file to be read")
        return self.splits.get(split, self.whole)

    def share(self, split: Split, held_out: Collection[Split]) -> Share:
        """Where the split is read from, so that no split shares an item with one that is ``held_out``.

        All is divided where there are no splits. Else a split without files is a part of train, which is left out of it
        where the split is held out. Raises HermesError where there are splits, and none to train on.
        """
        if not self.splits:
            return Share(self.whole, SPLITS, {split})
        if "train" not in self.splits:
            raise HermesError(f"{self.source} has {self._there()}, and nothing to train on; add train.jsonl")
        if split != "train" and split in self.splits:
            return Share(self.splits[split], (split,), {split})
        among = tuple(one for one in SPLITS if one == "train" or one not in self.splits)
        wanted = {one for one in among if one == split or (split == "train" and one not in held_out)}
        return Share(self.splits["train"], among, wanted)

    def said(self, held_out: Collection[Split]) -> str:
        """How the source is divided, in one line."""
        if not self.splits:
            return f"{self.source} has no splits: {described(SPLITS)}"
        share = self.share("train", held_out)
        there, parted = f"{self.source} has {self._there()}", set(share.among) - share.wanted
        parts = " and ".join(one for one in share.among if one in parted)
        return f"{there}; {parts} is taken from train: {described(share.among)}" if parts else there

    def _there(self) -> str:
        return ", ".join(str(path.relative_to(self.source)) for path in self.every)


def files_of(source: Path, task: str) -> Files:
    """The file itself; of a folder ``<task>`` or ``homologous`` with a known suffix, else what names splits, else all.

    Files or folders name splits where one is called just like a split, and where two splits are named. The folder is
    ``<task>/``, ``data/`` or the given one, whichever has files first. Raises HermesError where there are none.
    """
    if source.is_file():
        return Files(source, (source,))
    if not source.is_dir():
        raise HermesError(f"data folder {source} does not exist; give 'shapes', 'hub' or a folder")
    if is_saved(source):
        return _saved(source)
    for name in (task, "homologous"):
        if named := [path for suffix in READERS if (path := source / f"{name}{suffix}").is_file()]:
            return Files(source, tuple(named[:1]))
    homes = (source,) if any(path.stem.lower() in SPLIT_OF for path in _rows_in(source)) else ()
    for home in homes or (source / task, source / "data", source):
        if files := _files(home, source):
            return files
    raise HermesError(f"{source} holds no rows for {task}; give a folder with captions and questions")


def _saved(source: Path) -> Files:
    """What `datasets.save_to_disk` wrote: a folder for each split, or one table, which counts as one file."""
    named = {SPLIT_OF[inner.name.lower()]: inner for inner in source.glob("*/") if inner.name.lower() in SPLIT_OF}
    splits: dict[Split, tuple[Path, ...]] = {
        split: (named[split],) for split in SPLITS if split in named and is_saved(named[split])
    }
    return Files(source, splits=splits) if splits else Files(source, (source,))


def _files(home: Path, source: Path) -> Files | None:
    rows = _rows_in(home)
    named: dict[Split, list[Path]] = defaultdict(list)
    for path in rows:
        if split := _split_named(path.stem):
            named[split].append(path)
    exact = any(path.stem.lower() in SPLIT_OF for path in rows)
    for folder in sorted(home.glob("*/")):
        split = SPLIT_OF.get(folder.name.lower())
        if split and split not in named and (inner := _rows_in(folder)):
            named[split], exact = inner, True
    others = len(rows) > sum(path.parent == home for files in named.values() for path in files)
    if len(named) > 1 or (exact and others):
        return Files(source, splits={split: _chosen(named[split]) for split in SPLITS if split in named})
    whole = rows or [path for files in named.values() for path in files]
    return Files(source, tuple(whole)) if whole else None


def _rows_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in READERS and path.is_file())


def _split_named(stem: str) -> Split | None:
    """The one split that a word of the name names."""
    found = {SPLIT_OF[word] for word in re.findall(r"[a-z]+", stem.lower()) if word in SPLIT_OF}
    return found.pop() if len(found) == 1 else None


def _chosen(files: list[Path]) -> tuple[Path, ...]:
    """The first file that is called just like the split, else all."""
    exact = [path for path in files if path.stem.lower() in SPLIT_OF]
    return tuple(sorted(exact, key=lambda path: list(READERS).index(path.suffix.lower()))[:1] or files)
