"""The official layouts that columns tell apart: POPE's question files, GenEval's folders, DPG-Bench's grids.

- POPE and GenEval: see official/pope.py and geneval.py.
- DPG-Bench (TencentQQGYLab/ELLA, compute_dpg_bench.py): ``<item_id>.png``, four images in a grid. The script cuts them
  by its --resolution, the side of one image in pixels; its prompts without questions are no rows.
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from hermes.harness.data.cuts import ONE, Grid
from hermes.harness.data.files import READERS
from hermes.harness.data.geneval import folder_rows, geneval_folders, holds_results, result_rows
from hermes.harness.data.json_stream import json_members
from hermes.harness.data.official.pope import pope_rows
from hermes.harness.data.rows import Rows
from hermes.harness.system.errors import HermesError


def official_rows(columns: Collection[str], path: Path) -> Rows | None:
    """The rows of an official layout, brought to the ``columns`` of the data set; None where ``path`` is none.

    Raises HermesError for DPG-Bench's prompts, which come without the questions that score them.
    """
    if {"category", "image_source"} <= set(columns) and (rows := pope_rows(path)):
        return rows
    if "include" in columns and (folders := geneval_folders(path)):
        return Rows(partial(folder_rows, folders))
    if "include" in columns and holds_results(path):
        return Rows(partial(result_rows, path))
    if "proposition_id" in columns and _holds_prompts_only(path):
        raise HermesError(
            f"{path} holds prompts only, without the questions that score them; give the official dpg_bench.csv "
            f"(columns {', '.join(columns)})"
        )
    return None


def _holds_prompts_only(path: Path) -> bool:
    """Whether this is a folder of prompt texts, or a JSON object from names to texts, alone or with others alike."""
    found = [path] if path.is_file() else filter(Path.is_file, path.glob("*"))
    files = [file for file in found if file.suffix in (*READERS, ".txt")]
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


def usual_grid(columns: Collection[str]) -> Grid:
    """How the images of one item lie in a file of the benchmark that has these columns."""
    return Grid(2, 2) if "proposition_id" in columns else ONE
