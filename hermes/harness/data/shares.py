"""Items that come without splits: a hash of its picture puts each into one, and two splits never share an item."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.rows import BadRow, Rows
from hermes.harness.records.images import ImageHandle, image_handle, pixel_sha256
from hermes.harness.records.sources import is_path
from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError, ImageError

SHARES: dict[Split, int] = {"train": 70, "validation": 15, "test": 15}
SPLITS = tuple(SHARES)
SALT = b"hermes shares 1"
REMEMBERED = 1 << 19


class MadeUp(str):
    """An id that a row does not give: the name of its image's file, or the row's number."""

    __slots__ = ()


@dataclass(frozen=True)
class Shared:
    """How many items of ``held`` are in ``train``, too; of the first both ids, and whether its picture is the same."""

    count: int
    held: str
    train: str
    picture: bool


def of_splits(rows: Rows, wanted: Collection[Split], among: Sequence[Split], where: str) -> Rows:
    """Those of the rows, divided ``among`` several splits, that fall to a wanted one. HermesError where none does."""
    if set(among) <= set(wanted):
        return rows
    return Rows(partial(_of_splits, rows, wanted, among, where), rows.ungrouped)


def _of_splits(rows: Rows, wanted: Collection[Split], among: Sequence[Split], where: str) -> Iterator[Row]:
    every = found = 0
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        every += 1
        if split_of(row, among) in wanted:
            found += 1
            yield row
    if every and not found:
        split = next(iter(wanted))
        raise HermesError(
            f"{where}: none of the {every} items falls to {split} ({described(among)}); give more items, or a file of "
            f"its own, {split}.jsonl"
        )


def split_of(row: Row, among: Sequence[Split]) -> Split:
    """The split of a row: by its picture as models see it; by its id where it has no picture that decodes.

    So it stays what it is when other rows come or go, ids change, or the picture is stored in another format.
    """
    content = picture_of(row) or b"id " + str(row["id"]).encode(errors="surrogatepass")
    place = int.from_bytes(blake2b(SALT + content, digest_size=8).digest()) % sum(SHARES[split] for split in among)
    for split in among:
        if place < SHARES[split]:
            break
        place -= SHARES[split]
    return split


def described(among: Sequence[Split]) -> str:
    """ "train 70 %, validation 15 %, test 15 % by a hash of each picture"."""
    whole = sum(SHARES[split] for split in among)
    return ", ".join(f"{split} {100 * SHARES[split] / whole:.0f} %" for split in among) + " by a hash of each picture"


def picture_of(row: Row) -> bytes | None:
    """What tells the row's picture from others, whatever its file is like; None where there is none that decodes."""
    try:
        image = image_handle(row.get("image"), "image")
        if is_path(image.source):
            path = Path(image.source)
            stat = path.stat()
            return _of_file(str(path), stat.st_mtime_ns, stat.st_size)
        return _pixels(image)
    except (HermesError, OSError):
        return None


@lru_cache(maxsize=REMEMBERED)
def _of_file(path: str, changed: int, size: int) -> bytes | None:
    """Each pass over the rows asks again."""
    return _pixels(ImageHandle(path))


def _pixels(image: ImageHandle) -> bytes | None:
    try:
        return bytes.fromhex(pixel_sha256(image.open()))[:16]
    except ImageError:
        return None


def shared(train: Iterable[Row], held: Iterable[Row]) -> Shared | None:
    """What two splits have in common, by id or by picture, as rows of the second; None where that is nothing.

    Ids that are made up, as file names and numbers are, say nothing.
    """
    ids: set[str] = set()
    pictures: dict[bytes, str] = {}
    for row in train:
        if not isinstance(row["id"], MadeUp):
            ids.add(str(row["id"]))
        if picture := picture_of(row):
            pictures.setdefault(picture, str(row["id"]))
    count, first = 0, ("", "", False)
    for row in held:
        name, picture = str(row["id"]), picture_of(row)
        there = pictures.get(picture) if picture else None
        if there is None and (isinstance(row["id"], MadeUp) or name not in ids):
            continue
        count += 1
        if count == 1:
            first = (name, name if there is None else there, there is not None)
    return Shared(count, *first) if count else None
