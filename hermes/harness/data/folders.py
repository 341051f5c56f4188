"""Answers that are folders of images: GenEval's, a folder an item, files named by item, with or without a number."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.data.cuts import Cut, Cutting, cut_files, described
from hermes.harness.data.geneval import SAMPLES, folder_metadata, geneval_folders
from hermes.harness.data.given import Given
from hermes.harness.system.errors import HermesError

PICTURES = (".png", ".webp", ".jpg", ".jpeg")  # Of one picture in several formats the first counts.
NUMBERED = re.compile(r"(.+?)[-_. ]+\(?(\d+)\)?")


@dataclass(frozen=True)
class _Item:
    """An item's files in order; ``alone``: one file that holds all its images. ``told`` is the item's own metadata."""

    id: str
    files: list[Path]
    alone: bool = False
    told: Mapping[str, Any] | None = None


def folder_answers(path: Path, known: Collection[str], cutting: Cutting) -> tuple[list[Given], str]:
    """The images of a folder, and one line that says how its files were cut.

    ``known`` are the ids of the rows: a name such as a_0.png is the item a_0 where there is one, else an image of the
    item a. Raises HermesError where the folder holds no images, and where two files claim one place.
    """
    items = list(_items(path, known))
    if not items:
        raise HermesError(
            f"{path} is no official layout; expected 00000/metadata.jsonl with samples/, a folder of images for each "
            "item, or images named by item id"
        )
    alone = cut_files([file for item in items if item.alone for file in item.files], cutting)
    several = [file for item in items if not item.alone for file in item.files]
    cuts = [*alone, *(cut_files(several, cutting) if cutting.said else map(Cut, several))]
    of_file = {cut.path: cut for cut in cuts}
    return [given for item in items for given in _given(item, of_file)], described(cuts)


def _given(item: _Item, cuts: Mapping[Path, Cut]) -> Iterator[Given]:
    images = ((file, image) for file in item.files for image in cuts[file].images())
    for index, (file, image) in enumerate(images):
        yield Given(item.id, index, str(file), image=image, told=item.told)


def _items(path: Path, known: Collection[str]) -> Iterator[_Item]:
    if folders := geneval_folders(path):
        for folder in folders:
            yield _Item(folder.name, _numbered(folder / SAMPLES), told=folder_metadata(folder))
        return
    flat = _pictures(path)
    for folder in sorted(found for found in path.iterdir() if found.is_dir()):
        files = _numbered(folder / SAMPLES) or _numbered(folder)
        if files and (folder.name in known or not flat):
            yield _Item(folder.name, files)
    yield from _flat_items(flat, known)


def _flat_items(files: Iterable[Path], known: Collection[str]) -> Iterator[_Item]:
    """Files by the item that their names name."""
    whole: dict[str, Path] = {}
    parts: dict[str, list[tuple[int, Path]]] = {}
    for file in files:
        item, number = _named(file.name, known)
        if number is None:
            whole[item] = _better(whole.get(item, file), file, f"item {item!r}")
        else:
            parts.setdefault(item, []).append((number, file))
    for item in sorted(whole.keys() | parts.keys()):
        if item in whole and item in parts:
            other = parts[item][0][1].name
            raise HermesError(f"{whole[item]} and {other} both hold images of item {item!r}; keep one kind")
        if item in whole:
            yield _Item(item, [whole[item]], alone=True)
        else:
            yield _Item(item, _once(sorted(parts[item])))


def _named(name: str, known: Collection[str]) -> tuple[str, int | None]:
    """The item that a file's name names, and the number of its image, if it has one."""
    stems = (name.partition(".")[0], Path(name).stem)
    for stem in stems:
        if stem in known:
            return stem, None
    for stem in stems:
        if (found := NUMBERED.fullmatch(stem)) and found[1] in known:
            return found[1], int(found[2])
    return stems[0], None


def _numbered(folder: Path) -> list[Path]:
    """The images of one item by the number that their names are, else by the number at their end, else by name."""
    files = _pictures(folder)
    files = [file for file in files if file.stem.isdecimal()] or files
    numbered = [(int(found[0]), file) for file in files if (found := re.search(r"\d+$", file.stem))]
    return _once(sorted(numbered)) if len(numbered) == len(files) else files


def _once(numbered: Iterable[tuple[int, Path]]) -> list[Path]:
    """The files without those that show the image of a number again, in another format."""
    first: dict[int, Path] = {}
    for number, file in numbered:
        first[number] = _better(first.get(number, file), file, f"image {number} of one item")
    return list(first.values())


def _better(one: Path, other: Path, what: str) -> Path:
    """The better format of one picture. Raises HermesError for two pictures."""
    if one.stem.lower() != other.stem.lower():
        raise HermesError(f"{one} and {other.name} are both {what}; keep one")
    return min(one, other, key=_preference)


def _pictures(folder: Path) -> list[Path]:
    """The images that lie in the folder itself by name, each in one format."""
    files = (file for file in folder.glob("*") if file.suffix.lower() in PICTURES and not file.name.startswith("."))
    return sorted(files, key=lambda file: (file.stem, _preference(file)))


def _preference(file: Path) -> int:
    return PICTURES.index(file.suffix.lower())
