"""Files of one's own, given with --task-file: what their tasks are called, and where their rows are."""

import re
from collections.abc import Sequence
from pathlib import Path

from hermes.harness.system.errors import HermesError

TASK = "file"


def file_tasks(files: Sequence[Path]) -> dict[str, str]:
    """The file of each task: "file:my" for dir/my.jsonl, "file:my:contains" for dir/my.jsonl:contains.

    Raises HermesError where two files would be one task.
    """
    found: dict[str, str] = {}
    for given in files:
        path, match = _parts(str(given))
        name = ":".join(filter(None, (TASK, re.sub(r"[^\w.-]+", "-", Path(path).stem), match)))
        if found.setdefault(name, path) != path:
            raise HermesError(f"{found[name]} and {path} would both be the task {name!r}; rename one")
    return found


def _parts(text: str) -> tuple[str, str]:
    """A path and how its answers are scored, "" where that is not said; a colon may belong to the path."""
    path, colon, match = text.rpartition(":")
    return (path, match) if colon and not Path(text).exists() and "/" not in match else (text, "")
