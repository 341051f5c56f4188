"""Where the images lie that annotation files name: the folders that are looked at, one after the other."""

import os
from functools import lru_cache
from pathlib import Path

IMAGE_ROOT = "HERMES_IMAGE_ROOT"
IMAGE_FOLDERS = ("", "imgs", "images")


def image_root() -> Path | None:
    """The folder that HERMES_IMAGE_ROOT names."""
    return Path(os.environ[IMAGE_ROOT]) if os.environ.get(IMAGE_ROOT) else None


def image_path(value: str | Path, folder: Path, root: Path | None) -> str:
    """Where the image lies that an annotation file in ``folder`` names; beside the file if it is nowhere."""
    # Not Path.is_file, which raises where a name is too long or a folder above may not be read.
    found = (home for home in _homes(folder, folder.absolute(), root) if os.path.isfile(os.path.join(home, value)))
    return str(Path(next(found, str(folder)), value))


@lru_cache(maxsize=16)
def _homes(folder: Path, absolute: Path, root: Path | None) -> tuple[str, ...]:
    """The folders in which an image may lie, in the order in which they are looked at."""
    homes = [root] if root else []
    return tuple(map(str, (*homes, *(folder / name for name in IMAGE_FOLDERS), *absolute.parents)))
