"""The official layouts of benchmarks: POPE's question files, GenEval's folders, DPG-Bench's grids of images.

- POPE (AoiDragon/POPE, output/coco/): ``coco_pope_<sampling>.json``, JSON lines of question_id, image, text, label.
- GenEval (djghosh13/geneval, evaluate_images.py): ``00000/metadata.jsonl`` and ``00000/samples/0000.png``.
- DPG-Bench (TencentQQGYLab/ELLA, compute_dpg_bench.py): ``<item_id>.png``, four images in a grid. The script cuts them
  by its --resolution, the side of one image in pixels; its prompts without questions are no rows.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import READERS
from hermes.harness.data.json_stream import json_members
from hermes.harness.data.rows import Rows
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_value

POPE_FILE = re.compile(r".*pope_(random|popular|adversarial)\.jsonl?")
POPE_COLUMNS = {"question_id", "image", "text", "label"}
METADATA = "metadata.jsonl"
LINE = 1 << 20  # Bytes in which a first row must end.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def official_rows(columns: Collection[str], path: Path) -> Rows | None:
    """The rows of an official layout, brought to the ``columns`` of the data set; None where ``path`` is none.

    Raises HermesError for DPG-Bench's prompts, which come without the questions that score them.
    """
    if "category" in columns and (files := _pope_files(path)):
        return Rows(partial(_pope_rows, files))
    if "include" in columns and (folders := geneval_folders(path)):
        return Rows(partial(_geneval_rows, folders))
    if "proposition_id" in columns and _holds_prompts_only(path):
        raise HermesError(
            f"{path} holds prompts only, without the questions that score them; give the official dpg_bench.csv "
            f"(columns {', '.join(columns)})"
        )
    return None


def _pope_files(path: Path) -> list[Path]:
    """The samplings' files in the order random, popular, adversarial; none where the columns are others."""
    files = [path] if path.is_file() else sorted(path.glob("*pope_*.json*"), reverse=True)
    return [file for file in files if POPE_FILE.fullmatch(file.name) and set(_first_object(file)) >= POPE_COLUMNS]


def _first_object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            first = json_value(file.readline(LINE))
    except (OSError, ValueError):
        return {}
    return first if isinstance(first, dict) else {}


def _pope_rows(files: list[Path]) -> Iterator[Row]:
    for path in files:
        sampling = path.stem.rpartition("_")[2]
        for row in READERS[".jsonl"](path):
            number = row.get("question_id")
            yield {
                **{key: value for key, value in row.items() if key not in ("text", "label")},
                **{"question": row.get("text"), "answer": row.get("label"), "category": sampling},
                **{"id": f"{sampling}/{number}", "image_source": Path(str(row.get("image"))).stem},
            }


def geneval_folders(path: Path) -> list[Path]:
    """The numbered folders that hold a metadata.jsonl, in order."""
    return sorted(found.parent for found in path.glob(f"*/{METADATA}") if found.parent.name.isdecimal())


def _geneval_rows(folders: list[Path]) -> Iterator[Row]:
    for folder in folders:
        rows = list(READERS[".jsonl"](folder / METADATA))
        if len(rows) != 1:
            raise HermesError(f"{folder / METADATA} holds {len(rows)} objects; it must hold one prompt's metadata")
        yield {"id": folder.name, **rows[0]}


def geneval_images(folder: Path) -> list[Path]:
    """The images of one prompt in the order of their numbers, as the official script takes them."""
    found = [path for path in (folder / "samples").glob("*") if path.stem.isdecimal() and path.suffix in PICTURES]
    return sorted(found, key=lambda path: int(path.stem))


def _holds_prompts_only(path: Path) -> bool:
    """Whether this is a folder of prompt texts, or a JSON object from names to texts, alone or with others alike."""
    files = [path] if path.is_file() else [file for file in path.glob("*") if file.suffix in (*READERS, ".txt")]
    return bool(files) and all(file.suffix == ".txt" or _is_text_by_name(file) for file in files)


def _is_text_by_name(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    some = False
    try:
        for _, text in json_members(path):
            some = True
            if not isinstance(text, str):
                return False
    except HermesError:
        return False
    return some


def picture_files(folder: Path) -> list[Path]:
    """The images that lie in the folder itself, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)


def grid_images(path: Path, pictures: int, side: int | None = None) -> list[ImageHandle]:
    """The images of one file: itself, or the four of its 2 x 2 grid, row by row.

    ``side`` is the script's --resolution: the images are cut from the top left corner. None cuts the grid in halves.
    """
    if pictures == 1 and side is None:
        return [ImageHandle(path, where=str(path))]
    return [ImageHandle(partial(_crop, path, place, side), where=f"{path}, image {place}") for place in range(pictures)]


def _crop(path: Path, place: int, side: int | None) -> Image.Image:
    grid = _opened(path, path.stat().st_mtime_ns)
    across, down = (side, side) if side else (grid.width // 2, grid.height // 2)
    left, top = place % 2 * across, place // 2 * down
    if left + across > grid.width or top + down > grid.height:
        raise ValueError(f"{grid.width} x {grid.height} pixels hold no image {place} of {across} x {down}")
    return grid.crop((left, top, left + across, top + down))


@lru_cache(maxsize=1)
def _opened(path: Path, changed: int) -> Image.Image:
    """The grid, decoded once for its four images; ``changed`` is when the file was written."""
    with Image.open(path) as grid:
        return grid.convert("RGB")
