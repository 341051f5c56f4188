"""What --fresh removes: exactly what Hermes has written, and nothing else. Links are removed, not followed."""

import shutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from hermes.harness.records.store import Store
from hermes.harness.system.disk import LOCK, read_json, sync_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.trackers import ALIGN, EVAL

SPEC, SCORED = "spec.json", "scored"
# The names in a folder that are Hermes's: files, folders with what is Hermes's in them, folders that are so as a whole.
Tree = Mapping[str, Any]
FILE, WHOLE = "file", "whole"
DIGIT, PART = "[0-9a-f]", ".*.[0-9]*.part"
MEDIA: Tree = {DIGIT * 64 + ".png": FILE, PART: FILE}
HOME = "*-" + DIGIT * 12
STORE: Tree = {
    "responses.[0-9]*.jsonl": FILE,
    "environment.jsonl": FILE,
    "media": MEDIA,
    "judgements": {"*": {"judgements.[0-9]*.jsonl": FILE}},
    "scores": {"*~*.jsonl": FILE, "*~*.json": FILE, PART: FILE},
    "samples": {DIGIT * 16 + ".jsonl": FILE, DIGIT * 16 + ".pictures": FILE, PART: FILE},
    PART: FILE,
}
TASK: Tree = {
    **dict.fromkeys(("responses.[0-9]*.jsonl", "judgements.[0-9]*.jsonl", "scores.jsonl", "result.json"), FILE),
    "submission.json": FILE,
    PART: FILE,
}
RUN: Tree = {
    **dict.fromkeys(("run.json", "results.json", "report.md", "report.html", "history.json", "data.json"), FILE),
    "environment.json*": FILE,
    "answers": {HOME: {HOME: {**STORE, SPEC: FILE, LOCK: FILE}}},
    "media": MEDIA,
    "round-[0-9]*": WHOLE,
    **dict.fromkeys((ALIGN, EVAL), WHOLE),
    PART: FILE,
}


def empty(folder: Path) -> None:
    """Remove what Hermes has written to a run folder, its own answers and the runs scored from them included.

    The spec goes last: until the rest is gone the folder stays known as a run, and --fresh can be given again.
    """
    for scored in sorted((folder / SCORED).glob("*/")):
        if not (folder / SCORED).is_symlink() and not scored.is_symlink() and known(scored) is not None:
            empty(scored)
            _leave(scored, {LOCK: FILE})
    tasks = (known(folder) or {}).get("tasks")
    names = {escape(name.replace("/", "_")): TASK for name in tasks} if isinstance(tasks, dict) else {}
    clear(folder, {**names, **RUN, SCORED: {}})
    sync_folder(folder)
    (folder / SPEC).unlink(missing_ok=True)
    sync_folder(folder)


def empty_store(store: Store) -> None:
    """Remove all answers of a store, and what was made of them. The caller must hold its lock."""
    clear(store.folder, STORE)
    sync_folder(store.folder)


def known(folder: Path) -> dict[str, Any] | None:
    """The spec that Hermes wrote to a folder; None for any other, {} for one that is damaged among files of a run."""
    try:
        spec = read_json(folder / SPEC)
    except HermesError:
        beside = any((folder / name).is_file() for name in ("environment.jsonl", "environment.json"))
        return {} if beside and (folder / SPEC).is_file() else None
    return spec if isinstance(spec.get("schema"), int) and "model" in spec else None


def clear(folder: Path, tree: Tree) -> None:
    """Remove from the folder what the tree names, and of the folders that it names those that are empty then."""
    for item in sorted(folder.iterdir()):
        for pattern, below in tree.items():
            if fnmatchcase(item.name, pattern):
                _leave(item, below)
                break


def _leave(item: Path, tree: Any) -> None:
    if item.is_symlink() or (tree == FILE and item.is_file()):
        item.unlink()
    elif tree == WHOLE and item.is_dir():
        shutil.rmtree(item)
    elif tree not in (FILE, WHOLE) and item.is_dir():
        clear(item, tree)
        if not any(item.iterdir()):
            item.rmdir()
