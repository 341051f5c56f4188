"""Stored answers as the replay model takes them: from run folders, folders of one task, and files of responses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hermes.harness.errors import HermesError, ImageError
from hermes.harness.external.answers import as_id
from hermes.harness.images import ImageHandle
from hermes.harness.rows import line_objects
from hermes.harness.store import ResponseStore
from hermes.harness.types import Response

LINE = '{"id" or "sample_id", "index", and one of "response" or "text" (text), "image" (a path)}'
JOURNALS = "responses.*.jsonl"
FILE = "responses.jsonl"


@dataclass(frozen=True)
class Stored:
    """One stored answer. ``content`` is the text, the hash of the image's file, or why there is neither.

    ``prompt_sha256`` and ``seed`` say which request it answers, where that was stored; ``where`` names its file.
    """

    sample_id: str
    index: int
    kind: Literal["text", "image", "error"]
    content: str
    where: str
    image: ImageHandle | None = None
    prompt_sha256: str | None = None
    seed: int | None = None


def read_stored(path: str | None) -> list[Stored]:
    """All answers below the path. Raises HermesError where there are none, or that names the line it cannot read."""
    if not path:
        raise HermesError("replay: no answers are named; give replay:RUN, replay:RUN/TASK or replay:responses.jsonl")
    root = Path(path).expanduser()
    if not root.exists():
        raise HermesError(f"replay: {root} does not exist; give a run folder, a task's folder or {FILE}")
    if root.is_file():
        stored = list(_file(root))
    elif (root / FILE).is_file():
        stored = list(_file(root / FILE))
    else:
        folders = sorted({journal.parent for level in ("", "*/") for journal in root.glob(level + JOURNALS)})
        stored = [answer for folder in folders for answer in _folder(folder)]
    if not stored:
        raise HermesError(f"replay: {root} holds no answers; give a run folder, a task's folder or {FILE}")
    return stored


def _folder(folder: Path) -> Iterator[Stored]:
    """The answers of one task, as a run stores them."""
    store = ResponseStore(folder, _media(folder))
    for response in store.read().values():
        yield _of_response(response, store, str(folder))


def _media(folder: Path) -> Path:
    """Where the images of a task's folder are: beside it in its run, or within."""
    return folder / "media" if (folder / "media").is_dir() else folder.parent / "media"


def _of_response(response: Response, store: ResponseStore, where: str) -> Stored:
    image = store.image(response) if response.image else None
    text = response.text if response.text is not None else response.image
    failed = response.status == "error" or text is None
    return Stored(
        response.sample_id,
        response.index,
        kind="error" if failed else "text" if image is None else "image",
        content=(response.error or "no answer") if failed or text is None else text,
        where=where,
        image=None if failed else image,
        prompt_sha256=response.prompt_sha256,
        seed=response.seed,
    )


def _file(path: Path) -> Iterator[Stored]:
    """One answer a line: records of a run, or lines as `hermes score` takes them."""
    store = ResponseStore(path.parent, _media(path.parent))
    for where, entry in line_objects(path, LINE):
        if "prompt_sha256" in entry:
            yield _of_record(entry, store, where)
        else:
            yield _of_line(entry, path.parent, where)


def _of_record(entry: Mapping[str, Any], store: ResponseStore, where: str) -> Stored:
    try:
        response = Response.model_validate(entry)
    except ValueError:
        raise HermesError(f"{where} is no response of a run; expected {LINE}") from None
    return _of_response(response, store, where)


def _of_line(entry: Mapping[str, Any], folder: Path, where: str) -> Stored:
    ids = [key for key in ("id", "sample_id") if key in entry]
    answers = [key for key in ("response", "text", "image") if entry.get(key) is not None]
    index = entry.get("index", 0)
    if len(ids) != 1 or len(answers) != 1 or not isinstance(entry[answers[0]], str):
        raise HermesError(f"{where} holds {', '.join(entry) or 'nothing'}; expected {LINE}")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise HermesError(f"{where}: index must be a whole number from 0, not {index!r}")
    name, content = as_id(entry[ids[0]], where), entry[answers[0]]
    if answers[0] != "image":
        return Stored(name, index, "text", content, where)
    image = ImageHandle(folder / content, where=str(folder / content))
    return Stored(name, index, "image", _sha256(image), where, image)


def _sha256(image: ImageHandle) -> str:
    try:
        return image.sha256()
    except ImageError:
        return "unreadable"
