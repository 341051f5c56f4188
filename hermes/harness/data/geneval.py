"""GenEval's files: numbered folders of prompts with their images, and the results of its own script.

- evaluate_images.py (djghosh13/geneval) reads ``00000/metadata.jsonl`` and ``00000/samples/0000.png``.
- It writes results.jsonl, one line an image: filename, tag, prompt, correct, reason, metadata and details, the last
  two as JSON text.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import file_rows, line_objects, parse_json
from hermes.harness.data.given import Given
from hermes.harness.system.errors import HermesError

METADATA = "metadata.jsonl"
SAMPLES = "samples"
RESULT = {"filename", "correct", "metadata"}
RESULT_LINE = "a line of GenEval's results.jsonl: filename, correct, reason, metadata"


def geneval_folders(path: Path) -> list[Path]:
    """The numbered folders that hold a metadata.jsonl, in order."""
    return sorted(found.parent for found in path.glob(f"*/{METADATA}") if found.parent.name.isdecimal())


def folder_metadata(folder: Path) -> Row:
    """The prompt's metadata. Raises HermesError where there are none or several."""
    rows = list(file_rows(folder / METADATA))
    if len(rows) != 1:
        raise HermesError(f"{folder / METADATA} holds {len(rows)} objects; it must hold one prompt's metadata")
    return rows[0]


def folder_rows(folders: list[Path]) -> Iterator[Row]:
    """One row a folder; its id is the folder's name."""
    return ({"id": folder.name, **folder_metadata(folder)} for folder in folders)


def holds_results(path: Path) -> bool:
    """Whether this is a file as evaluate_images.py writes it."""
    if not path.is_file() or path.suffix not in (".json", ".jsonl"):
        return False
    try:
        return next((entry.keys() >= RESULT for _, entry in line_objects(path, RESULT_LINE)), False)
    except HermesError:
        return False


def result_rows(path: Path) -> Iterator[Row]:
    """The prompts of a results file in the order of their folders' names."""
    told: dict[str, Mapping[str, Any]] = {}
    for where, entry in line_objects(path, RESULT_LINE):
        told.setdefault(_names(entry, where)[0], _metadata(entry, where))
    return ({"id": name, **told[name]} for name in sorted(told))


def result_answers(path: Path) -> Iterator[Given]:
    """What the script said of each image; the images of a prompt are counted in the order of their names."""
    images: dict[str, dict[str, str]] = {}
    for where, entry in line_objects(path, RESULT_LINE):
        folder, image = _names(entry, where)
        first = images.setdefault(folder, {}).setdefault(image, where)
        if first != where:
            raise HermesError(f"{where} is about {entry['filename']!r} again (first in {first}); keep one")
    places = {folder: {name: place for place, name in enumerate(sorted(names))} for folder, names in images.items()}
    for where, entry in line_objects(path, RESULT_LINE):
        folder, image = _names(entry, where)
        correct, reason = entry.get("correct"), entry.get("reason") or ""
        if correct not in (True, False) or not isinstance(reason, str):
            raise HermesError(f"{where}: correct must be true or false and reason text; expected {RESULT_LINE}")
        judgement = {"correct": bool(correct), "reason": reason}
        told = _metadata(entry, where)
        yield Given(folder, places[folder][image], where, judgement=judgement, told=told)


def _names(entry: Mapping[str, Any], where: str) -> tuple[str, str]:
    """The prompt's folder and the image's file in it."""
    parts = PurePosixPath(str(entry.get("filename")).replace("\\", "/")).parts
    folders = [part for part in parts[:-1] if part != SAMPLES]
    if not folders:
        raise HermesError(f"{where}: the filename {entry.get('filename')!r} is in no prompt's folder; fix the line")
    return folders[-1], parts[-1]


def _metadata(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = entry.get("metadata")
    try:
        found = parse_json(found.encode()) if isinstance(found, str) else found
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise HermesError(f"{where}: metadata must be an object, or one as text; expected {RESULT_LINE}")
    return found
